/** Which globals a client of a `wayland` link sees, which it may bind, and what it hears if it tries another. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { VISIBLE_TO_ALL } from '../../../plugins/wayland/interfaces.ts'
import { WaylandStage } from '../../support/wayland-stage.ts'
import {
  bind,
  deleteId,
  destroyFixes,
  destroyRegistry,
  done,
  error,
  filler,
  getRegistry,
  global,
  globalRemove,
  header,
  message,
  raw,
  refused,
  sync,
} from '../../support/wayland-wire.ts'

const SECRET = 'zwlr_screencopy_manager_v1'

/** A client that has its registry, and nothing else has happened. */
const withRegistry = (staging: ConstructorParameters<typeof WaylandStage>[0] = {}): WaylandStage =>
  new WaylandStage(staging).clientWrites(getRegistry(2))

describe('announcements', () => {
  test('of interfaces that everybody may see pass, those of others are left out', () => {
    withRegistry()
      .compositorWrites([
        global(2, 1, 'wl_compositor', 4),
        global(2, 2, SECRET),
        global(2, 3, 'wl_shm'),
        global(2, 4, 'an_interface_of_tomorrow_v1'),
        done(3),
      ])
      .clientGot(global(2, 1, 'wl_compositor', 4), global(2, 3, 'wl_shm'), done(3))
  })

  test('of every interface of the list pass', () => {
    const all = Object.values(VISIBLE_TO_ALL)
      .flat()
      .map((name, at) => global(2, at + 1, name))
    withRegistry()
      .compositorWrites(all)
      .clientGot(...all)
  })

  test('of an interface that the link grants by name pass, and no other', () => {
    withRegistry({ grants: [SECRET] })
      .compositorWrites([global(2, 1, SECRET), global(2, 2, 'zwlr_layer_shell_v1')])
      .clientGot(global(2, 1, SECRET))
  })

  test('all pass to the role admin, and nothing is refused', () => {
    withRegistry({ role: 'admin' })
      .compositorWrites(global(2, 1, SECRET))
      .clientGot(global(2, 1, SECRET))
      .clientWrites(bind(2, 1, SECRET))
      .compositorGot(getRegistry(2), bind(2, 1, SECRET))
  })

  test('a name that only begins, or ends, as a visible one is another', () => {
    withRegistry()
      .compositorWrites([
        global(2, 1, 'wl_shm_'),
        global(2, 2, 'wl_sh'),
        global(2, 3, 'xwl_shm'),
        global(2, 4, 'WL_SHM'),
        global(2, 5, ''),
      ])
      .clientGot()
  })

  test('of every registry are looked at', () => {
    withRegistry()
      .clientWrites([getRegistry(7), getRegistry(0xfeff_ffff)])
      .compositorWrites([
        global(7, 1, SECRET),
        global(7, 2, 'wl_shm'),
        global(0xfeff_ffff, 1, SECRET),
        global(2, 1, SECRET),
      ])
      .clientGot(global(7, 2, 'wl_shm'))
  })

  test('are an event of registries: another object may say the same', () => {
    withRegistry()
      .compositorWrites(global(4, 1, SECRET))
      .clientGot(global(4, 1, SECRET))
  })

  test('the removal of a hidden global is hidden too, that of a visible one is not', () => {
    withRegistry()
      .compositorWrites([
        global(2, 1, SECRET),
        global(2, 2, 'wl_output'),
        globalRemove(2, 1),
        globalRemove(2, 2),
        globalRemove(2, 3),
      ])
      .clientGot(global(2, 2, 'wl_output'), globalRemove(2, 2), globalRemove(2, 3))
  })

  test('a name that was hidden and is announced as something visible is visible', () => {
    withRegistry()
      .compositorWrites([global(2, 1, SECRET), global(2, 1, 'wl_output'), globalRemove(2, 1)])
      .clientGot(global(2, 1, 'wl_output'), globalRemove(2, 1))
      .clientWrites(bind(2, 1, 'wl_output'))
      .compositorGot(getRegistry(2), bind(2, 1, 'wl_output'))
  })

  test('are counted where they are hidden, and said once', () => {
    const stage = withRegistry()
      .compositorWrites([global(2, 1, SECRET), global(2, 1, SECRET), global(2, 2, 'weston_debug_v1')])
      .compositorWrites(globalRemove(2, 2))
    assert.equal(stage.counted('hidden_globals'), 3)
    assert.deepEqual(
      stage.said('debug').map(facts => facts['interface']),
      [SECRET, 'weston_debug_v1'],
    )
  })

  test('of a name that cannot be shown are logged without what a terminal would obey', () => {
    const stage = withRegistry().compositorWrites(global(2, 1, '\x1b[2Jx'))
    assert.equal(stage.said('debug')[0]?.['interface'], '?[2Jx')
  })
})

describe('a bind', () => {
  test('of what the client may see passes', () => {
    withRegistry()
      .compositorWrites(global(2, 1, 'wl_compositor'))
      .clientWrites([bind(2, 1, 'wl_compositor'), filler(9, 40)])
      .compositorGot(getRegistry(2), bind(2, 1, 'wl_compositor'), filler(9, 40))
  })

  test('of what it may not see ends the connection as a compositor would, after all that came before', () => {
    const stage = withRegistry()
      .compositorWrites([global(2, 1, 'wl_shm'), global(2, 4, SECRET)])
      .clientWrites([sync(3), bind(2, 4, SECRET), filler(9, 12)])
      .clientWrites(filler(9, 16))
      .compositorGot(getRegistry(2), sync(3))
      .clientGot(global(2, 1, 'wl_shm'), refused(2, 4, SECRET))
    assert.equal(stage.closing, 'flush')
    assert.equal(stage.counted('denials'), 1)
    assert.equal(stage.counted('refusals reason=interface'), 1)
    assert.deepEqual(stage.said('warn'), [
      {
        audit: 'request-refused',
        consumer: 'app',
        role: 'any',
        reason: 'interface',
        error: `invalid global ${SECRET} (4)`,
        interface: SECRET,
        global: 4,
      },
    ])
  })

  test('does not wait for an announcement to be refused', () => {
    new WaylandStage()
      .clientWrites([getRegistry(2), bind(2, 17, SECRET)])
      .compositorGot(getRegistry(2))
      .clientGot(refused(2, 17, SECRET))
  })

  test('by the name of a hidden global is refused, whatever interface it says', () => {
    const stage = withRegistry()
      .compositorWrites(global(2, 4, SECRET))
      .clientWrites(bind(2, 4, 'wl_shm'))
      .compositorGot(getRegistry(2))
      .clientGot(refused(2, 4, 'wl_shm'))
    assert.equal(stage.counted('refusals reason=name'), 1)
  })

  test('on an object that is no registry is not looked at', () => {
    withRegistry()
      .clientWrites(bind(5, 1, SECRET))
      .compositorGot(getRegistry(2), bind(5, 1, SECRET))
  })

  test('on the display is no bind', () => {
    new WaylandStage().clientWrites([getRegistry(1), sync(4)]).compositorGot(getRegistry(1), sync(4))
  })

  test('is told from other requests of a registry by its opcode', () => {
    const other = message(2, 1, 1, SECRET, 1, 9)
    withRegistry().clientWrites(other).compositorGot(getRegistry(2), other)
  })

  test('compares names as C does, up to the first NUL', () => {
    const padded = (text: string): Buffer => message(2, 0, 1, text, 1, 9)
    withRegistry()
      .clientWrites(padded('wl_shm\0rest'))
      .compositorGot(getRegistry(2), padded('wl_shm\0rest'))
      .clientWrites(padded(`${SECRET}\0wl_shm`))
      .clientGot(refused(2, 1, SECRET))
  })

  test('by a name of 60 KiB is refused in few words', () => {
    const stage = withRegistry().clientWrites(bind(2, 1, 'x'.repeat(60_000)))
    stage.compositorGot(getRegistry(2)).clientGot(refused(2, 1, 'x'.repeat(64)))
    assert.equal(stage.said('warn')[0]?.['interface'], 'x'.repeat(64))
  })

  test('by a name that cannot be shown is refused without it', () => {
    withRegistry()
      .clientWrites(bind(2, 1, '\x1b]0;wl_shm\x07'))
      .clientGot(refused(2, 1, '?]0;wl_shm?'))
  })
})

describe('a request that is none', () => {
  const word = (value: number): Buffer => message(0, 0, value).subarray(8)
  const malformedBind = error(1, 1, 'invalid arguments for wl_registry@2.bind')
  const rows: Readonly<Record<string, readonly [Buffer, Buffer]>> = {
    'a size of 0': [header(5, 0, 0), error(1, 1, 'a message cannot be 0 bytes long')],
    'a size of 7': [header(5, 0, 7), error(1, 1, 'a message cannot be 7 bytes long')],
    'a size of 10': [raw(5, 0, Buffer.alloc(2)), error(1, 1, 'a message cannot be 10 bytes long')],
    'a size of 65535': [header(5, 0, 65_535), error(1, 1, 'a message cannot be 65535 bytes long')],
    'a registry of no id': [
      raw(1, 1, Buffer.alloc(0)),
      error(1, 1, 'invalid arguments for wl_display@1.get_registry'),
    ],
    'a registry with something behind its id': [
      raw(1, 1, Buffer.alloc(8)),
      error(1, 1, 'invalid arguments for wl_display@1.get_registry'),
    ],
    'a bind of nothing': [raw(2, 0, Buffer.alloc(0)), malformedBind],
    'a bind without a string': [message(2, 0, 1, 0, 1, 9), malformedBind],
    'a bind whose string goes beyond it': [
      raw(2, 0, Buffer.concat([word(1), word(100), Buffer.from('wl_shm\0\0'), word(1), word(9)])),
      malformedBind,
    ],
    'a bind whose string is as long as can be said': [
      raw(2, 0, Buffer.concat([word(1), word(0xffff_ffff), Buffer.from('wl_shm\0\0'), word(1), word(9)])),
      malformedBind,
    ],
    'a bind whose string does not end': [
      raw(2, 0, Buffer.concat([word(1), word(8), Buffer.from('wl_shmxx'), word(1), word(9)])),
      malformedBind,
    ],
    'a bind with a word too many': [message(2, 0, 1, 'wl_shm', 1, 9, 0), malformedBind],
    'a bind with a word too few': [message(2, 0, 1, 'wl_shm', 1), malformedBind],
  }
  for (const [what, [request, answer]] of Object.entries(rows)) {
    test(`${what}: is refused, with all that follows`, () => {
      const stage = withRegistry()
        .clientWrites([sync(3), request, sync(4)])
        .compositorGot(getRegistry(2), sync(3))
        .clientGot(answer)
      assert.equal(stage.counted('refusals reason=malformed'), 1)
      assert.equal(stage.said('warn').length, 1)
    })
  }
})

describe('a registry', () => {
  /** A client with an object of wl_fixes (20) and a second registry (5). */
  const withFixes = (): WaylandStage => {
    const stage = withRegistry()
    return stage.clientWrites([bind(2, 3, 'wl_fixes', 20), getRegistry(5)])
  }

  test('that is destroyed is none for requests any more, and for events until its id is given back', () => {
    const stage = withFixes()
    stage
      .clientWrites([destroyRegistry(20, 5), bind(5, 1, SECRET)])
      .compositorWrites([global(5, 1, SECRET), deleteId(5), global(5, 1, SECRET)])
      .clientGot(deleteId(5), global(5, 1, SECRET))
    assert.equal(stage.closing, undefined)
  })

  test('whose id is given back while it lives is one still: the id was used before', () => {
    withRegistry()
      .clientWrites([sync(5), getRegistry(5)])
      .compositorWrites([done(5), deleteId(5), global(5, 1, SECRET)])
      .clientGot(done(5), deleteId(5))
      .clientWrites(bind(5, 1, SECRET))
      .compositorGot(getRegistry(2), sync(5), getRegistry(5))
      .clientGot(done(5), deleteId(5), refused(5, 1, SECRET))
  })

  test('that is made where one was destroyed is looked at again', () => {
    withFixes()
      .clientWrites([destroyRegistry(20, 5), getRegistry(5), bind(5, 1, SECRET)])
      .clientGot(refused(5, 1, SECRET))
  })

  test('cannot be destroyed by an object that is not of wl_fixes', () => {
    withRegistry()
      .clientWrites([bind(2, 3, 'wl_shm', 20), getRegistry(5), destroyRegistry(20, 5), bind(5, 1, SECRET)])
      .clientGot(refused(5, 1, SECRET))
  })

  test('cannot be destroyed by an object of wl_fixes that was destroyed', () => {
    withFixes()
      .clientWrites([destroyFixes(20), destroyRegistry(20, 5), bind(5, 1, SECRET)])
      .clientGot(refused(5, 1, SECRET))
  })

  test('that is destroyed with more than its id is refused', () => {
    withFixes()
      .clientWrites(message(20, 1, 5, 0))
      .clientGot(error(1, 1, 'invalid arguments for wl_fixes@20.destroy_registry'))
  })

  test('that nobody made can be destroyed without harm', () => {
    const stage = withFixes().clientWrites([destroyRegistry(20, 77), bind(2, 1, SECRET)])
    stage.clientGot(refused(2, 1, SECRET))
  })
})

describe('what is remembered of a connection', () => {
  test('is bounded in registries: one too many is refused', () => {
    const stage = new WaylandStage({ limits: { waylandObjects: 8 } })
    const all = Array.from({ length: 8 }, (_, at) => getRegistry(at + 2))
    stage
      .clientWrites([...all, getRegistry(3), getRegistry(10)])
      .compositorGot(...all, getRegistry(3))
      .clientGot(error(1, 2, 'too many registries on one connection'))
    assert.equal(stage.counted('refusals reason=too_many_objects'), 1)
  })

  test('counts the objects of wl_fixes as well', () => {
    new WaylandStage({ limits: { waylandObjects: 8 } })
      .clientWrites(getRegistry(2))
      .clientWrites(Array.from({ length: 8 }, (_, at) => bind(2, 1, 'wl_fixes', at + 10)))
      .clientGot(error(1, 2, 'too many registries on one connection'))
  })

  test('is forgotten with a registry that is destroyed', () => {
    const stage = new WaylandStage({ limits: { waylandObjects: 8 } })
    stage.clientWrites([getRegistry(2), bind(2, 1, 'wl_fixes', 20)])
    for (let id = 100; id < 200; id += 1) {
      stage.clientWrites([getRegistry(id), destroyRegistry(20, id)]).compositorWrites(deleteId(id))
    }
    assert.equal(stage.closing, undefined)
  })

  test('is bounded in hidden globals: a compositor with one too many is given up', () => {
    const stage = withRegistry({ limits: { waylandHiddenGlobals: 8 } })
    const secrets = Array.from({ length: 9 }, (_, at) => global(2, at, `secret_${at}`))
    stage
      .compositorWrites([global(2, 99, 'wl_shm'), ...secrets, global(2, 98, 'wl_seat')])
      .clientGot(global(2, 99, 'wl_shm'))
    assert.equal(stage.closing, 'flush')
    assert.equal(stage.counted('bad_events'), 1)
    assert.equal(stage.said('warn').length, 1)
  })

  test('is as bounded where hidden globals come and go without end, which nobody is to blame for', () => {
    const stage = withRegistry({ limits: { waylandHiddenGlobals: 8 } }).clientWrites(getRegistry(3))
    const both = (event: (registry: number) => Buffer): readonly Buffer[] => [event(2), event(3)]
    for (let name = 0; name < 100; name += 1) {
      stage
        .compositorWrites(both(registry => global(registry, name, SECRET)))
        .compositorWrites(both(registry => globalRemove(registry, name)))
    }
    stage.clientGot()
    assert.equal(stage.closing, undefined)
  })

  test('is not forgotten of what is still there, whatever else has gone', () => {
    const stage = withRegistry({ limits: { waylandHiddenGlobals: 8 } }).compositorWrites(
      global(2, 500, SECRET),
    )
    for (let name = 0; name < 100; name += 1) {
      stage.compositorWrites([global(2, name, SECRET), globalRemove(2, name)])
    }
    stage.clientWrites(bind(2, 500, 'wl_shm')).clientGot(refused(2, 500, 'wl_shm'))
  })

  test('counts a name that went and came again as one that is there', () => {
    const stage = withRegistry({ limits: { waylandHiddenGlobals: 8 } })
    stage.compositorWrites([global(2, 500, SECRET), globalRemove(2, 500), global(2, 500, SECRET)])
    for (let name = 0; name < 100; name += 1) {
      stage.compositorWrites([global(2, name, SECRET), globalRemove(2, name)])
    }
    stage.clientWrites(bind(2, 500, 'wl_shm')).clientGot(refused(2, 500, 'wl_shm'))
  })
})
