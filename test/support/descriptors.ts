/**
 * Descriptors in tests: files to pass around that can be told apart, and a count of those that are open.
 * A suite that calls `leavesNoDescriptors` fails if anything it did left one open.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync, readdirSync } from 'node:fs'
import { after, before } from 'node:test'
import { E } from '../../src/fp.ts'
import { openMemoryFile } from '../../src/kernel/container.ts'
import { closeRaw, type OwnedFd } from '../../src/kernel/fd.ts'
import { eventually } from './eventually.ts'

/** The success, or the failure thrown. */
export const must = <A>(result: E.Either<unknown, A>): A => {
  if (E.isLeft(result)) throw new Error(JSON.stringify(result.left))
  return result.right
}

/** The failure; throws if it is a success. */
export const failureOf = <L>(result: E.Either<L, unknown>): L => {
  if (E.isRight(result)) throw new Error('it was expected to fail')
  return result.left
}

export const openDescriptors = (): number => readdirSync('/proc/self/fd').length

/** Registers hooks: the process has as many descriptors after the suite as before it. */
export const leavesNoDescriptors = (): void => {
  let atStart = 0
  before(async () => {
    // With the first stream of its own libuv opens a descriptor that it keeps.
    await once(spawn('true'), 'close')
    atStart = openDescriptors()
  })
  after(() =>
    eventually(`the process is back at its ${atStart} descriptors`, () => {
      const now = openDescriptors()
      if (now !== atStart) throw new Error(`${now} are open`)
      return true
    }),
  )
}

/** What tells one open file from another, through whichever descriptor. */
export const identityOf = (fd: number): string => {
  const { dev, ino } = fstatSync(fd)
  return `${dev}/${ino}`
}

/** The identities, with the descriptors closed: what a reader of a message does with them. */
export const consume = (fds: readonly number[]): readonly string[] =>
  fds.map(fd => {
    const identity = identityOf(fd)
    closeRaw(fd)
    return identity
  })

/** Files in memory to send: each is one of its kind. */
export interface Parcels {
  readonly fds: readonly number[]
  readonly identities: readonly string[]
  close(): void
}

export const parcels = (count: number): Parcels => {
  const files: OwnedFd[] = []
  for (let i = 0; i < count; i += 1) files.push(must(openMemoryFile(`parcel ${i}`)))
  const fds = files.map(file => file.borrowed)
  return {
    fds,
    identities: fds.map(identityOf),
    close: () => {
      for (const file of files) file.close()
    },
  }
}
