/** A session against the seam alone: whatever the pieces its input comes in, it says the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineSession } from '../support/line-session.ts'
import { RecordingCommands } from '../support/recording-commands.ts'

interface Piece {
  readonly text: string
  readonly fds?: readonly number[]
}

const TRANSCRIPT: readonly Piece[] = [
  { text: '# a remark\nfirst\n' },
  { text: 'with two\n', fds: [10, 11] },
  { text: 'ping\n' },
  { text: '# dropped with one\n', fds: [12] },
  { text: 'raw 13\n' },
  { text: 'ping\n# not\nx\n', fds: [13] },
  { text: 'last\nquit\nnever seen\n' },
]

const EXPECTED = {
  provider: {
    text: '7: first\n7: with two\nping\n# not\nx\n7: last\n',
    fds: [
      [12, 10],
      [12, 11],
      [21, 13],
    ],
  },
  consumer: { text: 'pong\n', fds: [] },
}

/** The transcript in two pieces, and again in single bytes. */
const run = (cuts: (position: number) => boolean): RecordingCommands => {
  const commands = new RecordingCommands(lineSession(), 7)
  let position = 0
  for (const { text, fds } of TRANSCRIPT) {
    let piece = ''
    let carried = fds
    for (const letter of text) {
      piece += letter
      position += 1
      if (!cuts(position)) continue
      commands.arrive('consumer', Buffer.from(piece), carried)
      piece = ''
      carried = []
    }
    if (piece !== '') commands.arrive('consumer', Buffer.from(piece), carried)
  }
  return commands
}

const LENGTH = TRANSCRIPT.reduce((sum, { text }) => sum + text.length, 0)

const check = (commands: RecordingCommands, what: string): void => {
  assert.equal(commands.delivered('provider').text, EXPECTED.provider.text, what)
  assert.equal(commands.delivered('consumer').text, EXPECTED.consumer.text, what)
  assert.deepEqual(commands.dropped, [12], what)
  assert.deepEqual(commands.said, ['dial', 'close flush'], what)
}

test('a transcript split at any point comes out the same', () => {
  for (let cut = 0; cut <= LENGTH; cut += 1)
    check(
      run(position => position === cut),
      `split at ${cut}`,
    )
})

test('a transcript that comes byte by byte comes out the same', () =>
  check(
    run(() => true),
    'byte by byte',
  ))

test('descriptors go with the line they came with', () =>
  assert.deepEqual(
    run(() => false)
      .delivered('provider')
      .fds.map(([, fd]) => fd),
    [10, 11, 13],
  ))
