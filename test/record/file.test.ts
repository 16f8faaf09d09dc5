/** A recording on a real disk: what is there after a rotation, a full disk, a lost folder, or an end in the middle. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test'
import { type RecordingFile, type RecordingFileOptions, recordTo } from '../../src/record/file.ts'
import { bodyOf, type Live, live, recordingIn, replayOf } from '../replay/support.ts'
import { aLink } from '../support/builders.ts'
import { eventually } from '../support/eventually.ts'
import { fakeLog } from '../support/fakes.ts'
import { isInstalled, mayGoOn } from '../support/requirements.ts'

const app = aLink('app')

describe('a recording file', () => {
  let folder: string
  let path: string
  let l: Live
  let log: ReturnType<typeof fakeLog>
  let file: RecordingFile | undefined
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pvx-record-'))
    path = join(folder, 'daemon.rec')
    l = live()
    log = fakeLog()
  })
  afterEach(() => {
    file?.close()
    file = undefined
    rmSync(folder, { recursive: true, force: true })
  })

  const start = (options: Partial<RecordingFileOptions> = {}): void => {
    file = recordTo(l.tape, { path, maxBytes: 10_000, older: 2, log, ...options })
  }

  const textAt = (at: string): string => readFileSync(at, 'utf8')
  const there = (): Promise<true> => eventually('the file is there', () => existsSync(path) || undefined)

  /** Something to record: a link that comes or goes. */
  const toggle = async (): Promise<void> => {
    l.body = l.controller.links().length === 0 ? bodyOf(app.build()) : bodyOf()
    await l.advance(1000)
  }

  const whole = async (at: string): Promise<void> => {
    const recording = recordingIn(textAt(at))
    assert.equal(recording.torn, false, at)
    assert.deepEqual((await replayOf(recording)).divergences, [], at)
  }

  it('is for its owner alone, and holds what the tape told', async () => {
    let told = ''
    start()
    l.tape.listen(line => {
      told += line
    })
    await there()
    await toggle()
    l.tape.end()
    file?.close()
    assert.equal(textAt(path), told)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(folder), ['daemon.rec'])
  })

  it('is written while the daemon runs, and not only at its end', async () => {
    start()
    await toggle()
    await eventually(
      'the transition is on disk',
      () => existsSync(path) && textAt(path).includes('mediating'),
    )
  })

  it('makes room for the next one when it has grown, so many stay, and each stands by itself', async () => {
    start({ maxBytes: 3000 })
    await there()
    const rotated = (name: string): Promise<true> =>
      eventually(`there is ${name}`, async () => {
        await toggle()
        return existsSync(join(folder, name)) || undefined
      })
    await rotated('daemon.rec.1')
    await rotated('daemon.rec.2')
    const first = textAt(join(folder, 'daemon.rec.2'))
    await eventually('the oldest is gone', async () => {
      await toggle()
      return textAt(join(folder, 'daemon.rec.2')) !== first
    })
    l.tape.end()
    file?.close()
    // One that was about to get its name when it ended gets it, or is taken away.
    await eventually(
      'there are as many as are wanted',
      () => readdirSync(folder).sort().join() === 'daemon.rec,daemon.rec.1,daemon.rec.2' || undefined,
    )
    for (const name of ['daemon.rec', 'daemon.rec.1', 'daemon.rec.2']) await whole(join(folder, name))
    for (const name of ['daemon.rec.1', 'daemon.rec.2']) {
      assert.ok(statSync(join(folder, name)).size < 6000, name)
    }
  })

  it('has its name at any moment, also while it makes room', async () => {
    start({ maxBytes: 1000 })
    await there()
    const first = statSync(path).ino
    let looks = 0
    let missing = 0
    const look = (): void => {
      looks += 1
      if (!existsSync(path)) missing += 1
      next = setImmediate(look)
    }
    let next = setImmediate(look)
    for (let others = 0, last = first; others < 10; ) {
      await toggle()
      const { ino } = statSync(path)
      if (ino !== last) others += 1
      last = ino
    }
    clearImmediate(next)
    assert.deepEqual([missing, looks > 10], [0, true])
  })

  it('goes on where somebody was killed between giving a second name and taking the first', async () => {
    writeFileSync(`${path}.1`, 'an earlier run')
    linkSync(`${path}.1`, path)
    writeFileSync(`${path}.2`, 'an older one')
    writeFileSync(`${path}.new`, 'half of the n')
    start()
    await eventually('it is the new one', () => textAt(path).startsWith('{"format"'))
    assert.deepEqual([textAt(`${path}.1`), textAt(`${path}.2`)], ['an earlier run', 'an older one'])
    assert.deepEqual(readdirSync(folder), ['daemon.rec', 'daemon.rec.1', 'daemon.rec.2'])
  })

  it('moves no older one further than it takes to have room', async () => {
    writeFileSync(path, 'an earlier run')
    writeFileSync(`${path}.2`, 'an older one')
    start({ older: 3 })
    await eventually('it is the new one', () => textAt(path).startsWith('{"format"'))
    assert.deepEqual([textAt(`${path}.1`), textAt(`${path}.2`)], ['an earlier run', 'an older one'])
  })

  it('is begun anew when somebody has removed it', async () => {
    start({ maxBytes: 10_000_000 })
    await there()
    await toggle()
    rmSync(path)
    await eventually('it is there again', async () => {
      await toggle()
      return existsSync(path)
    })
    await toggle()
    l.tape.end()
    file?.close()
    await whole(path)
    assert.deepEqual(log.lines, [])
  })

  it('is for its owner alone even where others could read what a killed daemon has left', async () => {
    writeFileSync(`${path}.new`, '', { mode: 0o644 })
    start()
    await there()
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  it('is never written through a link that somebody has put in its place', async () => {
    const precious = join(folder, 'precious')
    writeFileSync(precious, 'as it was')
    symlinkSync(precious, `${path}.new`)
    start()
    await there()
    await toggle()
    file?.close()
    assert.equal(textAt(precious), 'as it was')
    assert.ok(lstatSync(path).isFile())
  })

  for (const [what, make] of [
    ['a folder', (at: string) => mkdirSync(at)],
    ['a link', (at: string) => symlinkSync('/nowhere', at)],
  ] as const) {
    for (const name of ['daemon.rec', 'daemon.rec.1']) {
      it(`leaves ${what} called ${name} where it is, and says so`, async () => {
        make(join(folder, name))
        if (name !== 'daemon.rec') writeFileSync(path, 'an earlier run')
        const before = readdirSync(folder)
        start()
        await eventually('it is said', () => log.lines.length > 0)
        assert.equal(
          Reflect.get(log.lines[0]?.facts ?? {}, 'reason'),
          `${join(folder, name)} is no file, and is left as it is`,
        )
        await eventually(
          'nothing else is there',
          () => readdirSync(folder).join() === before.join() || undefined,
        )
        assert.equal(lstatSync(join(folder, name)).isFile(), false)
      })
    }
  }

  it('keeps no older one where none is wanted', async () => {
    start({ maxBytes: 2000, older: 0 })
    await there()
    const first = statSync(path).ino
    await eventually('it is another file', async () => {
      await toggle()
      return statSync(path).ino !== first
    })
    assert.deepEqual(
      readdirSync(folder).filter(name => !name.endsWith('.new')),
      ['daemon.rec'],
    )
  })

  it('of an earlier run makes room too', async () => {
    writeFileSync(path, 'an earlier run')
    start()
    await eventually('it is the new one', () => textAt(path).startsWith('{"format"'))
    assert.equal(textAt(`${path}.1`), 'an earlier run')
  })

  it('that cannot be made is said, once, and is made when it can be; nothing else is affected', async () => {
    path = join(folder, 'missing', 'daemon.rec')
    start({ againMs: 50 })
    await eventually('it is said', () => log.lines.length > 0)
    assert.deepEqual(
      log.lines.map(({ level, message, facts }) => [level, message, Reflect.get(facts, 'reason')])[0],
      ['error', 'nothing is recorded until the file can be written again', 'ENOENT'],
    )
    await toggle()
    assert.equal(l.controller.links()[0]?.state, 'mediating.steady')
    mkdirSync(join(folder, 'missing'))
    await there()
    await toggle()
    l.tape.end()
    file?.close()
    await whole(path)
  })

  const onTinyDisk = async (t: TestContext, body: (disk: string) => Promise<void>): Promise<void> => {
    if (
      !mayGoOn(
        t,
        process.geteuid?.() !== 0 || !isInstalled('mount')
          ? 'needs root: a small disk is mounted'
          : undefined,
      )
    )
      return
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
    try {
      await body(disk)
    } finally {
      file?.close()
      file = undefined
      execFileSync('umount', ['-l', disk])
    }
  }

  /** As much as the disk takes. */
  const fill = (path: string): string => {
    const fd = openSync(path, 'w')
    try {
      for (;;) writeSync(fd, Buffer.alloc(512))
    } catch (error) {
      assert.match(String(error), /ENOSPC/)
      return path
    } finally {
      closeSync(fd)
    }
  }

  it('on a disk that gets full keeps its whole lines, and begins anew when there is room', async t => {
    await onTinyDisk(t, async disk => {
      path = join(disk, 'daemon.rec')
      start({ maxBytes: 10_000_000, againMs: 300 })
      await there()
      await eventually(
        'the disk is full',
        async () => {
          await toggle()
          return log.lines.length > 0
        },
        30_000,
      )
      assert.equal(Reflect.get(log.lines[0]?.facts ?? {}, 'reason'), 'ENOSPC')
      // Cut to its whole lines it may have left room, and a file that begins anew is small.
      const filler = fill(join(disk, 'filler'))
      const kept = textAt(path)
      await whole(path)
      // Tried again in vain, several times: what is there stays.
      await eventually('it is tried again', () => log.lines.length > 3)
      assert.equal(textAt(path), kept)
      for (const each of [filler, path]) rmSync(each)
      await eventually('it is recorded again', () => existsSync(path) && textAt(path).includes('"joined"'))
      await toggle()
      l.tape.end()
      file?.close()
      await whole(path)
    })
  })

  it('has a bound for what waits for a disk that does not keep up', async () => {
    start({ backlogBytes: 2000, againMs: 60_000 })
    // Nothing gets to the disk within one turn.
    for (let n = 0; n < 100; n += 1) l.tape.policyRead({ _tag: 'Right', right: 'x'.repeat(100) })
    await eventually('it gave up', () => log.lines.length > 0)
    assert.equal(Reflect.get(log.lines[0]?.facts ?? {}, 'reason'), 'the disk does not keep up')
  })

  it('that is closed hears nothing any more', async () => {
    start()
    await there()
    file?.close()
    const before = textAt(path)
    await toggle()
    assert.equal(textAt(path), before)
  })
})
