/** Why a policy file could not be taken. `docs/errors.md` has a line for each. */
export type PolicyError =
  | { readonly _tag: 'PolicyUnreadable'; readonly path: string; readonly errno: string }
  | { readonly _tag: 'PolicyMalformed'; readonly path: string; readonly reason: string }

export const describePolicyError = (error: PolicyError): string => {
  switch (error._tag) {
    case 'PolicyUnreadable':
      return `${error.path} cannot be read: ${error.errno}`
    case 'PolicyMalformed':
      return `${error.path} is no policy: ${error.reason}`
  }
}
