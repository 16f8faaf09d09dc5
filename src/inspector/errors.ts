/** Why the inspector could not be opened, or has nothing to show. `docs/errors.md` has a line for each. */
export type InspectorError =
  | { readonly _tag: 'InspectorAddressRefused'; readonly address: string; readonly reason: string }
  | { readonly _tag: 'InspectorCannotListen'; readonly address: string; readonly errno: string }
  | { readonly _tag: 'InspectorPageMissing'; readonly folder: string }

/** What happened and what to do, for a person. */
export const describeInspectorError = (error: InspectorError): string => {
  switch (error._tag) {
    case 'InspectorAddressRefused':
      return `${error.address} is no address for the inspector: ${error.reason}. Give HOST:PORT with a host of this machine alone, as in 127.0.0.1:9300; port 0 takes any that is free`
    case 'InspectorCannotListen':
      return error.errno === 'EADDRINUSE'
        ? `${error.address} is in use. Give another port, or 0 for any that is free`
        : `${error.address} cannot be listened on: ${error.errno}. Choose another address`
    case 'InspectorPageMissing':
      return `the page's files are not in ${error.folder}. Install the whole package, of which they are a part`
  }
}
