/** Lines to a reader that may be slow, gone, or a file: writing never waits. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { O_CLOEXEC } from '../../src/kernel/constants.ts'
import { c } from '../../src/kernel/declarations.ts'
import { OwnedFd } from '../../src/kernel/fd.ts'
import { NativeBlock } from '../../src/kernel/memory.ts'
import { openOutput } from '../../src/kernel/output.ts'
import { openSocketPair } from '../../src/kernel/socket.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { must } from '../support/descriptors.ts'
import { eventually } from '../support/eventually.ts'
import { needsRoot } from '../support/privileges.ts'

// An output lives as long as the process and closes nothing, so this suite does not count descriptors.

const pipe = (): readonly [OwnedFd, OwnedFd] => {
  const ends = new NativeBlock(8)
  assert.equal(c.pipe2(ends.address, O_CLOEXEC), 0)
  const both = [new OwnedFd(ends.data.getInt32(0, true)), new OwnedFd(ends.data.getInt32(4, true))] as const
  ends.free()
  return both
}

/** Where terminals are made: the machine's own devpts, or one mounted for this test where it has none. */
const terminalsFor = (t: TestContext): string => {
  if (existsSync('/dev/pts/ptmx')) return '/dev/pts'
  const folder = mkdtempSync(join(tmpdir(), 'pvx-pts-'))
  execFileSync('mount', ['-t', 'devpts', '-o', 'newinstance,ptmxmode=0666', 'devpts', folder])
  t.after(() => {
    execFileSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true })
  })
  return folder
}

const TIOCSPTLCK = 0x40045431
const TIOCGPTN = 0x80045430

/** A terminal whose other end nobody reads (pty(7)). */
const openTerminal = (folder: string): { readonly slave: number; close(): void } => {
  const master = openSync(join(folder, 'ptmx'), constants.O_RDWR | constants.O_NOCTTY)
  const word = new NativeBlock(8)
  word.data.setInt32(0, 0, true)
  assert.equal(c.ioctl(master, TIOCSPTLCK, word.address), 0)
  assert.equal(c.ioctl(master, TIOCGPTN, word.address), 0)
  const slave = openSync(
    join(folder, `${word.data.getInt32(0, true)}`),
    constants.O_RDWR | constants.O_NOCTTY,
  )
  word.free()
  return {
    slave,
    close: () => {
      closeSync(master)
      closeSync(slave)
    },
  }
}

const flagsOf = (fd: number): string =>
  /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? ''

const BACKLOG = DEFAULT_LIMITS.logBacklogBytes
const LINE = `${'x'.repeat(1023)}\n`

/** What is in the pipe, whose reading end blocks: asked for no more than there surely is. */
const read = (end: OwnedFd, bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes)
  let at = 0
  while (at < bytes) at += readSync(end.borrowed, buffer, at, bytes - at, null)
  return buffer
}

test('a line reaches a reader that reads', () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed, BACKLOG)
  output.write('hello\n')
  assert.equal(read(reader, 6).toString(), 'hello\n')
  assert.equal(output.dropped(), 0)
  reader.close()
  writer.close()
})

test('with a pipe that nobody reads every write returns, and what does not fit is counted', () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed, BACKLOG)
  const started = performance.now()
  for (let i = 0; i < 1000; i += 1) output.write(LINE)
  assert.ok(performance.now() - started < 1000)
  // 64 KiB in the pipe and 256 KiB held; the rest is gone.
  assert.ok(output.dropped() >= 600 && output.dropped() < 1000, `${output.dropped()} were dropped`)
  reader.close()
  writer.close()
})

test('so much is held for a reader that is behind, and not a byte more', () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed, 10 * LINE.length)
  const inPipe = 64
  for (let i = 0; i < inPipe + 10; i += 1) output.write(LINE)
  assert.equal(output.dropped(), 0)
  output.write('x')
  assert.equal(output.dropped(), 1)
  read(reader, 4 * LINE.length)
  output.flush()
  output.write('x')
  assert.equal(output.dropped(), 1)
  reader.close()
  writer.close()
})

test('a terminal that stands still does not hold the writer up, and stays blocking', t => {
  if (!needsRoot(t)) return
  const terminal = openTerminal(terminalsFor(t))
  const before = flagsOf(terminal.slave)
  const output = openOutput(terminal.slave, BACKLOG)
  const started = performance.now()
  for (let i = 0; i < 1000; i += 1) output.write(LINE)
  assert.ok(performance.now() - started < 2000)
  assert.ok(output.dropped() > 0)
  assert.equal(flagsOf(terminal.slave), before)
  terminal.close()
})

test('a device that is full costs lines, and is tried again with the next one', () => {
  const fd = openSync('/dev/full', 'w')
  const output = openOutput(fd, BACKLOG)
  for (let i = 0; i < 3; i += 1) output.write(LINE)
  assert.equal(output.dropped(), 3)
  closeSync(fd)
})

test('what was held comes out whole and in order once somebody reads', async () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed, BACKLOG)
  for (let i = 0; i < 200; i += 1) output.write(`${String(i).padStart(1023)}\n`)
  assert.equal(output.dropped(), 0)
  const parts: Buffer[] = []
  await eventually('all lines come', () => {
    output.flush()
    parts.push(read(reader, 4096))
    return parts.length === 50
  })
  const lines = Buffer.concat(parts).toString().trim().split('\n').map(Number)
  assert.deepEqual(lines, [...Array(200).keys()])
  reader.close()
  writer.close()
})

test('the pipe of whoever shares it stays blocking', () => {
  const [reader, writer] = pipe()
  const before = flagsOf(writer.borrowed)
  const output = openOutput(writer.borrowed, BACKLOG)
  for (let i = 0; i < 100; i += 1) output.write(LINE)
  assert.equal(flagsOf(writer.borrowed), before)
  reader.close()
  writer.close()
})

test('a socket that nobody reads does not hold the writer up either, and stays blocking', () => {
  const [reader, writer] = must(openSocketPair('stream'))
  const before = flagsOf(writer.borrowed)
  const output = openOutput(writer.borrowed, BACKLOG)
  for (let i = 0; i < 1000; i += 1) output.write(LINE)
  assert.ok(output.dropped() > 0)
  assert.equal(flagsOf(writer.borrowed), before)
  reader.close()
  writer.close()
})

test('a reader that is gone costs lines, not the process', () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed, BACKLOG)
  reader.close()
  // Node ignores SIGPIPE, so the write fails with EPIPE.
  output.write('nobody\n')
  output.write('hears this\n')
  assert.ok(output.dropped() >= 1)
  writer.close()
})

test('a file gets every line in order, behind what is there', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pvx-output-'))
  const path = join(folder, 'log')
  const fd = openSync(path, 'a')
  const output = openOutput(fd, BACKLOG)
  for (let i = 0; i < 500; i += 1) output.write(`${i}\n`)
  assert.deepEqual(readFileSync(path, 'utf8').trim().split('\n').map(Number), [...Array(500).keys()])
  closeSync(fd)
  const again = openSync(path, 'a')
  openOutput(again, BACKLOG).write('last\n')
  assert.match(readFileSync(path, 'utf8'), /\n499\nlast\n$/)
  closeSync(again)
  rmSync(folder, { recursive: true })
})
