/** Why the control socket could not be opened. `docs/errors.md` has a line for each. */
export type ControlError =
  /** Somebody listens there: most likely another daemon. */
  | { readonly _tag: 'ControlInUse'; readonly path: string }
  | { readonly _tag: 'ControlOccupied'; readonly path: string }
  | { readonly _tag: 'ControlRefused'; readonly path: string; readonly call: string; readonly errno: string }

/** What happened and what to do, for a person. */
export const describeControlError = (error: ControlError): string => {
  switch (error._tag) {
    case 'ControlInUse':
      return `${error.path} is in use: something listens on it. Is another daemon running? Give this one a place of its own with --control PATH`
    case 'ControlOccupied':
      return `${error.path} exists and is no socket. Remove it, or choose another place with --control PATH`
    case 'ControlRefused':
      return `${error.path} cannot be listened on: ${error.call}: ${error.errno}. Mend that, or choose another place with --control PATH`
  }
}
