/** Whatever keeps a link from working, there is something to be said about it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { adviceFor, adviceForError, adviceForVerdict, type Circumstances } from '../../src/control/advice.ts'
import type { Condition } from '../../src/model/condition.ts'
import type { Verdict } from '../../src/model/desired.ts'
import { type InjectError, syscallError } from '../../src/model/errors.ts'
import type { CountedFigure } from '../../src/model/figures.ts'
import { aLink, pid } from '../support/builders.ts'
import { aView, NOW } from './support.ts'

const AROUND: Circumstances = { conditions: [], policyPath: '/etc/policy.json', now: NOW }

const failing = (type: string, message: string): Condition => ({
  type,
  status: 'False',
  reason: 'Whatever',
  message,
  lastTransitionTime: 0,
})

/** One of each tag: a new one does not compile until it is here. */
const ERRORS: { readonly [Tag in InjectError['_tag']]: Extract<InjectError, { readonly _tag: Tag }> } = {
  PeerNotRunning: { _tag: 'PeerNotRunning', peer: 'provider' },
  PeerGone: { _tag: 'PeerGone', peer: 'consumer', pid: pid(42) },
  TargetOccupied: { _tag: 'TargetOccupied', target: '/t', by: 'live socket' },
  TargetRefused: {
    _tag: 'TargetRefused',
    target: '/t',
    cause: syscallError('bind', 'EROFS', 'consumer app'),
  },
  AddressInvalid: { _tag: 'AddressInvalid', field: 'socket', value: '@x', reason: 'abstract' },
  OptionRefused: { _tag: 'OptionRefused', option: 'creds', reason: 'not yet' },
  KindUnsupported: { _tag: 'KindUnsupported', socket: '/s', kind: 'dgram' },
  DeviceAbsent: { _tag: 'DeviceAbsent', path: '/dev/dri/card0', reason: 'nothing is there' },
  DeviceRefused: { _tag: 'DeviceRefused', path: '/dev/dri/card0', reason: 'it is no DRM device (1:3)' },
  PluginFailed: { _tag: 'PluginFailed', plugin: 'unix', message: 'oops' },
}

const VERDICTS: { readonly [Tag in Verdict['_tag']]: Extract<Verdict, { readonly _tag: Tag }> } = {
  Admitted: { _tag: 'Admitted', rule: 'default' },
  Denied: { _tag: 'Denied', rule: 'rule 2: deny name=raw' },
  Conflict: { _tag: 'Conflict', winner: aView().key },
  Unsupported: { _tag: 'Unsupported', reason: 'no plugin for type "usb"' },
}

const isProse = (text: string): void => {
  assert.match(text, /^[A-Z/].{20,}\.$/s)
  assert.doesNotMatch(text, /undefined|null|\[object/)
}

describe('advice', () => {
  for (const error of Object.values(ERRORS)) {
    it(`is there for ${error._tag}`, () => isProse(adviceForError(error, aLink().build())))
  }

  for (const errno of ['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'EEXIST', 'ELOOP', 'EIO']) {
    it(`is there for a target that is refused with ${errno}`, () => {
      const cause = syscallError('bind', errno, 'consumer app')
      isProse(adviceForError({ _tag: 'TargetRefused', target: '/t', cause }, aLink().build()))
    })
  }

  for (const verdict of Object.values(VERDICTS)) {
    it(`is there for the verdict ${verdict._tag}, if it is an obstacle`, () => {
      const advice = adviceForVerdict(verdict, AROUND)
      if (verdict._tag === 'Admitted') assert.equal(advice, null)
      else isProse(advice ?? '')
    })
  }

  for (const state of [
    'pending.waiting',
    'pending.blocked',
    'injecting.wanted',
    'injecting.abandoned',
    'mediating.steady',
    'mediating.changing',
    'tearing-down.renewing',
    'tearing-down.closing',
    'released',
  ]) {
    it(`is there in the state ${state}`, () => {
      const advice = adviceFor(aView({ state }), AROUND)
      assert.ok(advice.length > 0)
      for (const text of advice) isProse(text)
    })
  }

  it('names the rule that denied, and where the policy is', () => {
    const [text = ''] = adviceFor(aView({ state: 'pending.blocked', verdict: VERDICTS.Denied }), AROUND)
    assert.match(text, /rule 2: deny name=raw.*\/etc\/policy\.json/)
  })

  it('names the policy file first where it cannot be taken, and does not send anybody after its default', () => {
    const around = { ...AROUND, conditions: [failing('PolicyValid', 'it is no policy')] }
    const denied = aView({ state: 'pending.blocked', verdict: { _tag: 'Denied', rule: 'default' } })
    const [first = '', second = ''] = adviceFor(denied, around)
    assert.match(first, /policy file cannot be taken: it is no policy/)
    assert.doesNotMatch(second, /put a rule/)
    assert.match(adviceFor(denied, AROUND)[0] ?? '', /put a rule that allows it/)
  })

  it('says that Pantavisor does not answer, to whomever asks about any link', () => {
    const around = { ...AROUND, conditions: [failing('GraphAvailable', 'pv-ctrl does not answer: ENOENT')] }
    assert.match(adviceFor(aView(), around)[0] ?? '', /cannot be read: pv-ctrl does not answer: ENOENT/)
  })

  it('about a consumer that does not run comes before what failed when it last ran', () => {
    const view = aView({
      state: 'pending.waiting',
      link: aLink().running(null),
      error: ERRORS.TargetOccupied,
    })
    assert.match(adviceFor(view, AROUND).join(), /Pantavisor does not start it/)
  })

  it('tells a provider that is down, one that does not listen, and a client that never came apart', () => {
    const texts = [
      adviceFor(aView({ link: aLink().from('net', null) }), AROUND),
      adviceFor(aView({ counters: { connectionsTotal: 5, connectionsRefused: 4 } }), AROUND),
      adviceFor(aView({ counters: {} }), AROUND),
      adviceFor(aView({ counters: { connectionsTotal: 5 } }), AROUND),
    ].map(advice => advice.join())
    assert.match(texts[0] ?? '', /net is not running/)
    assert.match(texts[1] ?? '', /4 of 5 connections were closed because net did not take them/)
    assert.match(texts[2] ?? '', /nobody has connected yet/)
    assert.equal(texts[3], 'Nothing: it works.')
  })

  it('tells whose word a denial is', () => {
    const denied = (rule: string) => adviceForVerdict({ _tag: 'Denied', rule }, AROUND) ?? ''
    assert.match(denied('rule 2: deny type=drm'), /^The policy denies it/)
    assert.match(denied('drm: role render may not get card0'), /Assign another role/)
    for (const rule of ['rule 2: deny type=drm', 'drm: role render may not get card0']) isProse(denied(rule))
  })

  it('speaks of a device node, and not of connections, where that is what was planted', () => {
    const advice = adviceFor(aView({ device: '226:0', counters: {} }), AROUND).join()
    assert.match(advice, /the node is there/)
    assert.doesNotMatch(advice, /connect/)
    isProse(advice)
  })

  it('is what the protocol says about what it counted, each once, and of nothing that is zero', () => {
    const counted = (name: string, value: number, advice?: string): CountedFigure => ({
      ...{ of: 'protocol', name, help: 'What happened.', labels: {}, kind: 'total', value },
      ...(advice === undefined ? {} : { advice }),
    })
    const figures = [
      counted('rejected', 2, 'See its role.'),
      counted('dropped', 1, 'See its role.'),
      counted('silent', 0, 'Not to be said.'),
      counted('messages', 7),
    ]
    const counters = { connectionsTotal: 3, connectionsRefused: 1, figures }
    assert.deepEqual(adviceFor(aView({ counters }), AROUND), ['See its role.'])
  })

  it('says of clients that wait for a provider what keeps them waiting', () => {
    const tries = (errno: string): CountedFigure => ({
      ...{ of: 'link', name: 'dial_retries', help: 'Tries.', labels: { errno }, kind: 'total', value: 3 },
    })
    const counters = { connectionsTotal: 1, figures: [tries('ENOENT'), tries('ECONNREFUSED')] }
    assert.match(
      adviceFor(aView({ counters }), AROUND).join(),
      /could not be reached so far \(ENOENT, ECONNREFUSED\)/,
    )
    assert.equal(
      adviceFor(aView({ counters: { ...counters, bytesDown: 1 } }), AROUND).join(),
      'Nothing: it works.',
    )
  })

  it('calls an injection stuck that has taken long', () => {
    const fresh = aView({ state: 'injecting.wanted', since: NOW - 1000 })
    const stuck = aView({ state: 'injecting.wanted', since: NOW - 60_000 })
    assert.match(adviceFor(fresh, AROUND).join(), /right now/)
    assert.match(adviceFor(stuck, AROUND).join(), /for 60 s: a file system of app may not answer/)
  })

  it('says how often it failed and when it is tried again', () => {
    const waiting = aView({ state: 'pending.waiting', error: ERRORS.PeerGone, attempt: 3 })
    assert.match(adviceFor(waiting, AROUND).join(), /failed 3 times in a row/)
    const first = aView({ state: 'pending.waiting', error: ERRORS.PeerGone, attempt: 1 })
    assert.match(adviceFor(first, AROUND).join(), /failed once, and/)
    const blocked = aView({ state: 'pending.blocked', error: ERRORS.OptionRefused })
    assert.match(adviceFor(blocked, AROUND).join(), /when its entry in the graph changes, and at each resync/)
  })
})
