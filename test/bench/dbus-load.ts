/** Calls over a bus, by `dbus-test-tool spam` of the reference implementation: each is answered, or it is an error. */
import { spawn } from 'node:child_process'
import { untilDone } from '../support/child.ts'

export interface Spam {
  readonly calls: number
  /** How many are under way at once. */
  readonly queued: number
  /** Of the array of bytes that each call brings; 0: none. */
  readonly payloadBytes: number
}

/** How long all of them took, in milliseconds: the start of the program and its handshake are in it. */
export const spam = async (address: string, { calls, queued, payloadBytes }: Spam): Promise<number> => {
  const payload = payloadBytes === 0 ? ['--empty'] : ['--bytes', '--stdin']
  const began = performance.now()
  const child = spawn(
    'dbus-test-tool',
    ['spam', '--dest=com.example', `--count=${calls}`, `--queue=${queued}`, ...payload],
    { env: { ...process.env, DBUS_SESSION_BUS_ADDRESS: address } },
  )
  // It does not read what it does not want, and may have ended.
  child.stdin.on('error', () => undefined)
  if (payloadBytes > 0) child.stdin.write(Buffer.alloc(payloadBytes, 'x'))
  const { code, complaints } = await untilDone(child)
  if (code !== 0)
    throw new Error(complaints.trim() === '' ? `the load ended with ${code}` : complaints.trim())
  return performance.now() - began
}
