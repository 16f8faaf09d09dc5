/** The session of `wayland` links, without any socket: against a compositor that takes whatever libwayland takes. */
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { WaylandStage } from '../../support/wayland-stage.ts'
import { check, targetOf } from '../target.ts'
import { holdsHoweverCut, Script, scripts } from '../wayland-conversation.ts'

const Reads = t.readonlyArray(
  t.type({ side: t.keyof({ consumer: null, provider: null }), hex: t.string, fds: t.number }),
)
type Reads = t.TypeOf<typeof Reads>

/** Bytes of both sides, without any sense. */
const reads: fc.Arbitrary<Reads> = fc.array(
  fc.record({
    side: fc.constantFrom('consumer' as const, 'provider' as const),
    hex: fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes).toString('hex')),
    fds: fc.nat(3),
  }),
  { maxLength: 20 },
)

/** Nothing throws, and no descriptor is anywhere twice. */
const survives = (all: Reads): void => {
  const stage = new WaylandStage()
  let fd = 0
  for (const { side, hex, fds } of all) {
    if (hex === '') continue
    stage.commands.arrive(
      side,
      Buffer.from(hex, 'hex'),
      Array.from({ length: fds }, () => fd++),
    )
  }
  stage.clientLeaves().compositorLeaves()
  const moved = [...stage.fdsTo('provider'), ...stage.fdsTo('consumer')].map(([, each]) => each)
  if (new Set(moved).size !== moved.length) throw new Error('a descriptor was delivered twice')
  if (!stage.commands.closed) throw new Error('both ends have left, and the connection is open')
}

export const target = targetOf('wayland', 'globals that a client may not have, and messages cut anywhere', [
  check({
    name: 'conversation',
    inputs: scripts,
    kept: Script,
    tries: 600,
    holds: script => {
      holdsHoweverCut(script)
    },
  }),
  check({ name: 'noise', inputs: reads, kept: Reads, tries: 600, holds: survives }),
])
