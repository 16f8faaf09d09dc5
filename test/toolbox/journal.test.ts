/** The journal: what its lines add up to, and what becomes of its file. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
import fc from 'fast-check'
import { creatingAs } from '../../src/kernel/namespace.ts'
import { openJournal } from '../../src/toolbox/journal.ts'
import {
  type Announcement,
  encodeLine,
  JOURNAL_VERSION,
  type JournalLine,
  readJournal,
} from '../../src/toolbox/journal-format.ts'
import { pid } from '../support/builders.ts'
import { fakeLog } from '../support/fakes.ts'
import { needsRoot } from '../support/privileges.ts'

const BOOT = 'a-boot'
const BEGINNING: JournalLine = { is: 'journal', version: JOURNAL_VERSION, boot: BOOT }

const announcement = (path = '/run/a.sock'): Announcement => ({
  consumer: 'app',
  pid: pid(12),
  started: '345',
  kind: 'socket',
  path,
  private: '.pvx-01234567',
})

const textOf = (...lines: readonly JournalLine[]): string => lines.map(encodeLine).join('')
const announced = (id: number): JournalLine => ({ is: 'announced', id, ...announcement() })

describe('the lines of a journal', () => {
  test('what was announced and not struck out is left, with what is known of it', () => {
    const made: JournalLine = { is: 'made', id: 1, device: '0:45', inode: '77', born: '8.9' }
    const { traces } = readJournal(textOf(BEGINNING, announced(1), announced(2), made), BOOT)
    assert.deepEqual(traces, [
      { id: 1, ...announcement(), made: { device: '0:45', inode: '77', born: '8.9' } },
      { id: 2, ...announcement(), made: null },
    ])
  })

  test('what was struck out is not', () => {
    assert.deepEqual(readJournal(textOf(BEGINNING, announced(1), { is: 'gone', id: 1 }), BOOT), {
      traces: [],
      grants: [],
      unreadable: 0,
    })
  })

  test('of a mounted node both files are known, and what a cgroup was allowed until it is struck out', () => {
    const below = { device: '0:46', inode: '78', born: '9.1' }
    const made = { device: '0:45', inode: '77', born: '8.9', below }
    const note = {
      consumer: 'app',
      pid: pid(12),
      started: '345',
      path: '/dev/card0',
      group: '/app',
      inode: '9',
      device: 'c 226:0',
    }
    const text = textOf(
      BEGINNING,
      { is: 'announced', id: 1, ...announcement(), kind: 'node' },
      { is: 'made', id: 1, ...made },
      { is: 'granted', id: 2, ...note },
      { is: 'granted', id: 3, ...note, inode: '10' },
      { is: 'gone', id: 3 },
    )
    assert.deepEqual(readJournal(text, BOOT), {
      traces: [{ id: 1, ...announcement(), kind: 'node', made }],
      grants: [{ id: 2, ...note }],
      unreadable: 0,
    })
  })

  test('a journal of another boot says nothing: its processes are gone', () => {
    assert.deepEqual(readJournal(textOf(BEGINNING, announced(1)), 'another'), {
      traces: [],
      grants: [],
      unreadable: 0,
    })
  })

  test('a journal of another version is not guessed at', () => {
    const text = textOf({ ...BEGINNING, version: JOURNAL_VERSION + 1 }, announced(1))
    assert.deepEqual(readJournal(text, BOOT).traces, [])
  })

  test('cut short anywhere, it says what its whole lines say', () => {
    const lines = [BEGINNING, announced(1), announced(2), { is: 'gone', id: 1 } as const]
    const text = textOf(...lines)
    fc.assert(
      fc.property(fc.nat(text.length), cut => {
        const part = text.slice(0, cut)
        const whole = part.slice(0, part.lastIndexOf('\n') + 1)
        // A last line that lacks its end only is as good as whole.
        const complete = text[cut] === '\n' ? `${part}\n` : whole
        assert.deepEqual(readJournal(part, BOOT).traces, readJournal(complete, BOOT).traces)
      }),
    )
  })

  test('whatever is in the file, reading it throws nothing', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        readJournal(`${textOf(BEGINNING)}${a}\n${b}`, BOOT)
      }),
    )
  })
})

const folderFor = (t: TestContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'pvx-journal-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

describe('the file of a journal', () => {
  test('what one run left is what the next one finds', t => {
    const path = join(folderFor(t), 'sub/journal')
    const first = openJournal(path, fakeLog())
    const id = first.announce(announcement())
    first.made(id, { device: '0:1', inode: '2', born: '3.4' })
    first.gone(first.announce(announcement('/run/b.sock')))
    first.close()
    const second = openJournal(path, fakeLog())
    assert.deepEqual(second.left, [
      { id, ...announcement(), made: { device: '0:1', inode: '2', born: '3.4' } },
    ])
    second.close()
  })

  test('what a cgroup was allowed is found too, and keeps the file', t => {
    const path = join(folderFor(t), 'journal')
    const note = {
      consumer: 'app',
      pid: pid(12),
      started: '345',
      path: '/dev/card0',
      group: '/app',
      inode: '9',
      device: 'c 226:0',
    }
    const first = openJournal(path, fakeLog())
    const id = first.granted(note)
    first.close()
    const second = openJournal(path, fakeLog())
    assert.deepEqual(second.leftGrants, [{ id, ...note }])
    assert.ok(second.announce(announcement()) > id, 'no number is given twice')
    second.gone(id)
    second.close()
    const third = openJournal(path, fakeLog())
    assert.deepEqual(third.leftGrants, [])
    third.close()
  })

  test('nobody but root reads it', t => {
    const path = join(folderFor(t), 'journal')
    const journal = openJournal(path, fakeLog())
    assert.equal(statSync(path).mode & 0o777, 0o600)
    journal.close()
  })

  for (const name of ['journal', 'journal.next']) {
    test(`a symlink at ${name} leads to no other file, and is said`, t => {
      const folder = folderFor(t)
      const other = join(folder, 'other')
      symlinkSync(other, join(folder, name))
      const log = fakeLog()
      const journal = openJournal(join(folder, 'journal'), log)
      journal.announce(announcement())
      journal.close()
      assert.equal(existsSync(other), false)
      assert.equal(log.lines.length, 1)
    })
  }

  test('it goes when nothing is in it', t => {
    const path = join(folderFor(t), 'journal')
    const journal = openJournal(path, fakeLog())
    journal.gone(journal.announce(announcement()))
    journal.close()
    assert.equal(existsSync(path), false)
  })

  test('two daemons do not share one: the second goes on without', t => {
    const path = join(folderFor(t), 'journal')
    const first = openJournal(path, fakeLog())
    first.announce(announcement())
    const log = fakeLog()
    const second = openJournal(path, log)
    assert.deepEqual(second.left, [])
    assert.equal(log.lines.length, 1)
    second.announce(announcement('/run/b.sock'))
    second.close()
    first.close()
    assert.equal(openJournal(path, fakeLog()).left.length, 1)
  })

  test('a lock outlives the rewriting of the file', async t => {
    const path = join(folderFor(t), 'journal')
    const first = openJournal(path, fakeLog())
    for (let i = 0; i < 2000; i += 1) first.gone(first.announce(announcement()))
    await immediate()
    const second = openJournal(path, fakeLog())
    second.announce(announcement())
    assert.doesNotMatch(readFileSync(path, 'utf8'), /"id":1,/)
    first.close()
  })

  test('coming and going for years does not make it grow', async t => {
    const path = join(folderFor(t), 'journal')
    const journal = openJournal(path, fakeLog())
    const kept = journal.announce(announcement('/run/kept.sock'))
    for (let i = 0; i < 5000; i += 1) {
      journal.gone(journal.announce(announcement()))
      if (i % 100 === 0) await immediate()
    }
    await immediate()
    assert.ok(statSync(path).size < 128 * 1024, `${statSync(path).size} bytes`)
    journal.close()
    const again = openJournal(path, fakeLog())
    assert.deepEqual(
      again.left.map(({ id }) => id),
      [kept],
    )
    again.close()
  })

  test('a line that a kill has cut short is said, and the others count', t => {
    const path = join(folderFor(t), 'journal')
    const first = openJournal(path, fakeLog())
    const id = first.announce(announcement())
    first.close()
    appendFileSync(path, '{"is":"gone","i')
    const log = fakeLog()
    const second = openJournal(path, log)
    assert.deepEqual(
      second.left.map(trace => trace.id),
      [id],
    )
    assert.equal(log.lines.length, 1)
    second.close()
  })

  test('where none can be kept the daemon says so and does without', t => {
    const folder = folderFor(t)
    writeFileSync(join(folder, 'file'), '')
    const log = fakeLog()
    const journal = openJournal(join(folder, 'file/journal'), log)
    journal.gone(journal.announce(announcement()))
    journal.close()
    assert.equal(log.lines.length, 1)
  })

  test("it stays root's own when it is rewritten while files are made for another user", async t => {
    if (!needsRoot(t)) return
    const path = join(folderFor(t), 'journal')
    const journal = openJournal(path, fakeLog())
    creatingAs({ uid: 100_000, gid: 100_000 }, () => {
      for (let i = 0; i < 1000; i += 1) journal.gone(journal.announce(announcement()))
    })
    const before = statSync(path).ino
    await immediate()
    const { uid, ino } = statSync(path)
    assert.notEqual(ino, before, 'it was rewritten')
    assert.equal(uid, 0)
    journal.close()
  })

  test('a full file system is said once, and made up for when there is room again', t => {
    if (!needsRoot(t)) return
    const folder = join(folderFor(t), 'small')
    mkdirSync(folder)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12k', 'small', folder])
    const path = join(folder, 'journal')
    const log = fakeLog()
    const journal = openJournal(path, log)
    writeFileSync(join(folder, 'filler'), Buffer.alloc(8192))
    const ids = Array.from({ length: 60 }, () => journal.announce(announcement()))
    assert.equal(log.lines.length, 1)
    rmSync(join(folder, 'filler'))
    for (const id of ids.slice(10)) journal.gone(id)
    journal.close()
    const again = openJournal(path, log)
    assert.deepEqual(
      again.left.map(trace => trace.id),
      ids.slice(0, 10),
    )
    again.close()
    execFileSync('umount', [folder])
  })
})
