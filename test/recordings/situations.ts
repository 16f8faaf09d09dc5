/**
 * The situations of fixtures/recordings, each played once with a real daemon. The names are those of the files; what each of
 * them shows is said in that folder's README.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Container } from '../support/container.ts'
import { eventually } from '../support/eventually.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import { DAEMON } from '../support/requirements.ts'
import { entryFor, keyOf, TARGET } from '../support/scenario.ts'
import type { Situation, Stage } from './stage.ts'

interface Pair {
  readonly app: Container
  readonly svc: Container
  readonly entry: Entry
  readonly link: string
}

const pair = async ({ container }: Stage): Promise<Pair> => {
  const [app, svc] = await Promise.all([container('app'), container('svc')])
  const entry = entryFor({ consumer: app, provider: svc })
  return { app, svc, entry, link: keyOf(entry) }
}

/** Entries from now on, and the link there. */
const connected = async (stage: Stage): Promise<Pair> => {
  const made = await pair(stage)
  stage.ctrl.serve([made.entry])
  await stage.daemon.reaches(made.link, 'mediating')
  return made
}

const NOT_RUNNING = -1

export const SITUATIONS: readonly Situation[] = [
  {
    name: 'provider-late',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { svc, entry, link } = await pair(stage)
      ctrl.serve([{ ...entry, provider_pid: NOT_RUNNING }])
      await daemon.reaches(link, 'mediating')
      await ctrl.askedAgain(3)
      const seen = daemon.statesOf(link).length
      ctrl.serve([{ ...entry, provider_pid: svc.pid }])
      await daemon.reachesAgain(link, 'mediating.steady', seen)
      await ctrl.askedAgain(2)
    },
  },
  {
    name: 'consumer-restart',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { app, svc, entry, link } = await connected(stage)
      await app.kill()
      await daemon.reaches(link, 'pending')
      ctrl.serve([{ ...entry, consumer_pid: NOT_RUNNING }])
      await ctrl.askedAgain(2)
      const seen = daemon.statesOf(link).length
      const again = await stage.container('app')
      ctrl.serve([entryFor({ consumer: again, provider: svc })])
      await daemon.reachesAgain(link, 'mediating', seen)
    },
  },
  {
    name: 'denied-role',
    policy: { default: 'allow', rules: [{ effect: 'deny', role: 'guest' }] },
    play: async stage => {
      const { ctrl, daemon } = stage
      const { app, svc, entry, link } = await pair(stage)
      const guest = entryFor({
        name: 'guest',
        consumer: app,
        provider: svc,
        target: '/run/pvx/guest.sock',
        role: 'guest',
      })
      ctrl.serve([entry, guest])
      await daemon.reaches(link, 'mediating')
      await daemon.reaches(keyOf(guest), 'pending.blocked')
      await ctrl.askedAgain(3)
      stage.writePolicy({ default: 'allow', rules: [] })
      daemon.signal('SIGHUP')
      await daemon.reaches(keyOf(guest), 'mediating')
    },
  },
  {
    name: 'conflict',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { app, svc, entry, link } = await pair(stage)
      const second = entryFor({ name: 'second', consumer: app, provider: svc })
      ctrl.serve([entry, second])
      await daemon.reaches(link, 'mediating')
      await daemon.reaches(keyOf(second), 'pending.blocked')
      await ctrl.askedAgain(2)
      ctrl.serve([second])
      await daemon.reaches(keyOf(second), 'mediating')
      await daemon.reaches(link, 'released')
    },
  },
  {
    name: 'malformed-graph',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { entry, link } = await connected(stage)
      ctrl.answer(response => response.end('[{"type":"unix","consumer":'))
      await ctrl.askedAgain(4)
      ctrl.serve([{ ...entry, name: 'broken', target: 'relative/path.sock' }, entry])
      await ctrl.askedAgain(3)
      if (!daemon.isIn(link, 'mediating')) throw new Error('a malformed graph has moved the link')
    },
  },
  {
    name: 'pv-ctrl-away',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { link } = await connected(stage)
      await ctrl.stop()
      await daemon.logged('that the graph cannot be read', ({ msg }) =>
        String(msg).includes('cannot be read'),
      )
      // A second or so of it: reads that fail, and nothing else.
      const since = daemon.log().length
      await new Promise(resolve => setTimeout(resolve, 1000))
      ctrl.serve([])
      await ctrl.listen()
      await daemon.logged('that the graph can be read', ({ msg }) => String(msg).includes('can be read'), {
        since,
      })
      await daemon.reaches(link, 'released')
    },
  },
  {
    name: 'flapping-provider',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { svc, entry, link } = await connected(stage)
      let provider = svc
      for (let times = 0; times < 3; times += 1) {
        await provider.kill()
        ctrl.serve([{ ...entry, provider_pid: NOT_RUNNING }])
        await ctrl.askedAgain(2)
        provider = await stage.container('svc')
        const seen = daemon.statesOf(link).length
        ctrl.serve([{ ...entry, provider_pid: provider.pid }])
        await daemon.reachesAgain(link, 'mediating.steady', seen)
      }
    },
  },
  {
    name: 'backoff',
    play: async stage => {
      const { ctrl, daemon } = stage
      const [app, svc] = await Promise.all([stage.container('app', { sealed: true }), stage.container('svc')])
      const entry = entryFor({ consumer: app, provider: svc, target: '/opt/pvx/raw.sock' })
      const link = keyOf(entry)
      ctrl.serve([entry])
      // 250 ms, 500 ms, 1 s: then its manifest is mended.
      await eventually(
        'it was tried four times',
        () => daemon.statesOf(link).filter(state => state === 'pending.waiting').length >= 4,
        10_000,
      )
      const mended = { ...entry, target: TARGET }
      ctrl.serve([mended])
      await daemon.reaches(keyOf(mended), 'mediating')
    },
  },
  {
    name: 'target-occupied',
    args: ['--resync', '1000'],
    play: async stage => {
      const { ctrl, daemon } = stage
      const { app, entry, link } = await pair(stage)
      const place = app.path(TARGET)
      mkdirSync(dirname(place), { recursive: true })
      writeFileSync(place, "somebody else's")
      ctrl.serve([entry])
      await daemon.reaches(link, 'pending.blocked')
      await ctrl.askedAgain(7)
      rmSync(place)
      await daemon.reaches(link, 'mediating')
    },
  },
  {
    name: 'deleted-socket',
    play: async stage => {
      const { daemon } = stage
      const { app, link } = await connected(stage)
      const seen = daemon.statesOf(link).length
      rmSync(app.path(TARGET))
      await daemon.reachesAgain(link, 'mediating', seen)
    },
  },
  {
    name: 'drain',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { app, svc, entry, link } = await pair(stage)
      const other = entryFor({ name: 'other', consumer: app, provider: svc, target: '/run/pvx/other.sock' })
      ctrl.serve([entry, other])
      await daemon.reaches(link, 'mediating')
      await daemon.reaches(keyOf(other), 'mediating')
      await daemon.stop()
    },
  },
  {
    name: 'unknown-type',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { app, svc, entry, link } = await pair(stage)
      const odd = {
        ...entryFor({ name: 'odd', consumer: app, provider: svc, target: '/run/pvx/odd' }),
        type: 'odd',
      }
      ctrl.serve([odd, entry])
      await daemon.reaches(link, 'mediating')
      await daemon.reaches(keyOf(odd), 'pending.blocked')
      await ctrl.askedAgain(2)
    },
  },
  {
    name: 'joined-late',
    file: 'joined.rec',
    play: async stage => {
      const { ctrl, daemon } = stage
      const { app, svc, link } = await connected(stage)
      const recorder = spawn(
        process.execPath,
        [DAEMON, 'record', stage.scratch('joined.rec'), '--control', daemon.control],
        { stdio: 'inherit' },
      )
      const ended = once(recorder, 'close')
      await ctrl.askedAgain(4)
      const seen = daemon.statesOf(link).length
      const other = entryFor({ name: 'other', consumer: app, provider: svc, target: '/run/pvx/other.sock' })
      rmSync(app.path(TARGET))
      await daemon.reachesAgain(link, 'mediating', seen)
      ctrl.serve([other])
      await daemon.reaches(link, 'released')
      await daemon.reaches(keyOf(other), 'mediating')
      recorder.kill('SIGINT')
      await ended
    },
  },
]
