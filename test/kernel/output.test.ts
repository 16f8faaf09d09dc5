/** Lines to a reader that may be slow, gone, or a file: writing never waits. */
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { O_CLOEXEC } from '../../src/kernel/constants.ts'
import { c } from '../../src/kernel/declarations.ts'
import { OwnedFd } from '../../src/kernel/fd.ts'
import { NativeBlock } from '../../src/kernel/memory.ts'
import { openOutput } from '../../src/kernel/output.ts'
import { openSocketPair } from '../../src/kernel/socket.ts'
import { must } from '../support/descriptors.ts'
import { eventually } from '../support/eventually.ts'

// An output lives as long as the process and closes nothing, so this suite does not count descriptors.

const pipe = (): readonly [OwnedFd, OwnedFd] => {
  const ends = new NativeBlock(8)
  assert.equal(c.pipe2(ends.address, O_CLOEXEC), 0)
  const both = [new OwnedFd(ends.data.getInt32(0, true)), new OwnedFd(ends.data.getInt32(4, true))] as const
  ends.free()
  return both
}

const flagsOf = (fd: number): string =>
  /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? ''

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
  const output = openOutput(writer.borrowed)
  output.write('hello\n')
  assert.equal(read(reader, 6).toString(), 'hello\n')
  assert.equal(output.dropped(), 0)
  reader.close()
  writer.close()
})

test('with a pipe that nobody reads every write returns, and what does not fit is counted', () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed)
  const started = performance.now()
  for (let i = 0; i < 1000; i += 1) output.write(LINE)
  assert.ok(performance.now() - started < 1000)
  // 64 KiB in the pipe and 256 KiB held; the rest is gone.
  assert.ok(output.dropped() >= 600 && output.dropped() < 1000, `${output.dropped()} were dropped`)
  reader.close()
  writer.close()
})

test('what was held comes out whole and in order once somebody reads', async () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed)
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
  const output = openOutput(writer.borrowed)
  for (let i = 0; i < 100; i += 1) output.write(LINE)
  assert.equal(flagsOf(writer.borrowed), before)
  reader.close()
  writer.close()
})

test('a socket that nobody reads does not hold the writer up either, and stays blocking', () => {
  const [reader, writer] = must(openSocketPair('stream'))
  const before = flagsOf(writer.borrowed)
  const output = openOutput(writer.borrowed)
  for (let i = 0; i < 1000; i += 1) output.write(LINE)
  assert.ok(output.dropped() > 0)
  assert.equal(flagsOf(writer.borrowed), before)
  reader.close()
  writer.close()
})

test('a reader that is gone costs lines, not the process', () => {
  const [reader, writer] = pipe()
  const output = openOutput(writer.borrowed)
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
  const output = openOutput(fd)
  for (let i = 0; i < 500; i += 1) output.write(`${i}\n`)
  assert.deepEqual(readFileSync(path, 'utf8').trim().split('\n').map(Number), [...Array(500).keys()])
  closeSync(fd)
  const again = openSync(path, 'a')
  openOutput(again).write('last\n')
  assert.match(readFileSync(path, 'utf8'), /\n499\nlast\n$/)
  closeSync(again)
  rmSync(folder, { recursive: true })
})
