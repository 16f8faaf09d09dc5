/** Why a file cannot be replayed. `docs/errors.md` has a line for each. */
export type RecordingError =
  /** Neither a recording nor a graph. */
  | { readonly _tag: 'NotARecording'; readonly reason: string }
  | { readonly _tag: 'RecordingTooNew'; readonly version: number }
  /** A line, counted from 1, that is none. */
  | { readonly _tag: 'LineMalformed'; readonly number: number; readonly reason: string }

/** What is wrong, for a person. */
export const describeRecordingError = (error: RecordingError): string => {
  switch (error._tag) {
    case 'NotARecording':
      return `it is no recording: ${error.reason}`
    case 'RecordingTooNew':
      return `it is of version ${error.version}, which a later pv-xconnect has made`
    case 'LineMalformed':
      return `line ${error.number}: ${error.reason}`
  }
}
