/** All measures, in the order they are run and shown. Those that use the contenders come first. */
import type { Measure } from '../contract.ts'
import { bulk } from './bulk.ts'
import { connections } from './connections.ts'
import { dbus } from './dbus.ts'
import { descriptors } from './descriptors.ts'
import { exit } from './exit.ts'
import { identity } from './identity.ts'
import { idle } from './idle.ts'
import { links } from './links.ts'
import { many } from './many.ts'
import { memory } from './memory.ts'
import { pass } from './pass.ts'
import { recording } from './recording.ts'
import { replay } from './replay.ts'
import { rest } from './rest.ts'
import { restBulk } from './rest-bulk.ts'
import { roundTrip } from './round-trip.ts'
import { start } from './start.ts'
import { wayland } from './wayland.ts'

export const MEASURES: readonly Measure[] = [
  bulk,
  descriptors,
  roundTrip,
  connections,
  identity,
  many,
  rest,
  restBulk,
  dbus,
  wayland,
  start,
  links,
  pass,
  idle,
  exit,
  memory,
  recording,
  replay,
]
