/**
 * Why a graph could not be read, as tagged values: `ReadError` on the way, `GraphError` in the answer itself.
 * Either way the last good graph stays in force; a bad entry inside a good answer is not here but in `Graph.rejected`.
 */

/** No whole answer was had from Pantavisor. */
export type ReadError =
  /** The socket is not there, or nobody listens. */
  | { readonly _tag: 'Unreachable'; readonly socketPath: string; readonly errno: string }
  | { readonly _tag: 'BadStatus'; readonly status: number }
  /** What answered does not speak HTTP. */
  | { readonly _tag: 'BadAnswer'; readonly reason: string }
  /** The connection ended before the answer did. */
  | { readonly _tag: 'Truncated'; readonly receivedBytes: number }
  | { readonly _tag: 'TooLarge'; readonly limitBytes: number }
  | { readonly _tag: 'TimedOut'; readonly timeoutMs: number }

/** The answer is no graph. */
export type GraphError =
  | { readonly _tag: 'BodyTooLarge'; readonly bytes: number; readonly limitBytes: number }
  | { readonly _tag: 'NotUtf8' }
  | { readonly _tag: 'NotJson'; readonly reason: string }
  | { readonly _tag: 'NotAnArray'; readonly found: string }
  | { readonly _tag: 'TooManyLinks'; readonly found: number; readonly limit: number }

/** What happened, in words for a person. */
export const describeReadError = (error: ReadError | GraphError): string => {
  switch (error._tag) {
    case 'Unreachable':
      return `${error.socketPath} does not answer: ${error.errno}`
    case 'BadStatus':
      return `Pantavisor answered with status ${error.status}`
    case 'BadAnswer':
      return `the answer is no HTTP: ${error.reason}`
    case 'Truncated':
      return `the answer ended early, after ${error.receivedBytes} bytes of body`
    case 'TooLarge':
      return `the answer is longer than ${error.limitBytes} bytes`
    case 'TimedOut':
      return `no whole answer within ${error.timeoutMs} ms`
    case 'BodyTooLarge':
      return `the graph has ${error.bytes} bytes, more than ${error.limitBytes}`
    case 'NotUtf8':
      return 'the graph is not UTF-8'
    case 'NotJson':
      return `the graph is not JSON: ${error.reason}`
    case 'NotAnArray':
      return `the graph is not a JSON array but ${error.found}`
    case 'TooManyLinks':
      return `the graph has ${error.found} links, more than ${error.limit}`
  }
}
