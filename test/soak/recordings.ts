/** What the daemon of a soak has recorded of itself: each of its recordings has to be replayed the way it went. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Violation } from './ledger.ts'

const BUNDLE = 'dist/pv-xconnect.js'
const LONGEST_REPLAY_MS = 300_000
const SHOWN_CHARS = 4000

/** So many older ones stay beside each. */
export const OLDER_RECORDINGS = 2

/** Small, so that one is followed by the next all the time. */
export const RECORDING_BYTES = 128 * 1024

const replayed = (file: string): Promise<void> =>
  new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [BUNDLE, 'replay', file],
      { timeout: LONGEST_REPLAY_MS, maxBuffer: 256 * 1024 * 1024 },
      (failure, out, complaints) => {
        if (failure === null) resolve()
        else
          reject(
            new Violation(
              `${file} is not replayed as it was recorded: ${(complaints || out).slice(-SHOWN_CHARS)}`,
            ),
          )
      },
    )
  })

/** `files`: one a life. Returns how many there were, with the older ones. */
export const replayAll = async (files: readonly string[]): Promise<number> => {
  const all = files
    .flatMap(file => [
      file,
      ...Array.from({ length: OLDER_RECORDINGS }, (_, index) => `${file}.${index + 1}`),
    ])
    .filter(existsSync)
  for (const file of all) await replayed(file)
  return all.length
}
