/** `policy explain`: any question about any policy is answered, or refused in words; and what it prints moves no terminal. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { runInPlace } from '../../cli/support.ts'
import { policies } from '../../plugins/dbus/policy/policies.ts'
import { randomOf } from '../../support/random.ts'
import { check, targetOf } from '../target.ts'

const Question = t.type({ policy: t.string, args: t.readonlyArray(t.string) })
type Question = t.TypeOf<typeof Question>

const word = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom(
      ...[
        'org.bluez',
        'a.b',
        ':1.5',
        '-',
        '/',
        '/a/b',
        '*',
        'x',
        'org.freedesktop.DBus',
        'Hello',
        '',
        'root',
        '0',
        '-1',
      ],
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('\u001b[31m', 'a\0b', '\u202e', 'a\nb', 'x'.repeat(2000), '__proto__'),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 10 }) },
)

const four = fc.array(word, { minLength: 3, maxLength: 5 }).map(words => words.join(' '))
const whole = fc.tuple(word, fc.constant('/a'), word, word).map(words => words.join(' '))

const option = fc.oneof(
  fc.tuple(fc.constantFrom('--call', '--signal', '--receive'), fc.oneof(four, whole)),
  fc.tuple(fc.constantFrom('--own', '--role', '--uid', '--also-owns', '--socket'), word),
  fc.tuple(fc.constantFrom('--fds'), fc.constantFrom('0', '1', '253', '254', 'x')),
  fc.constantFrom(['--connect'], ['--all'], ['extra'], ['--']),
)

/** Half of them ask one thing, as they should; the others anything. */
const args = fc.oneof(
  fc
    .tuple(fc.constantFrom('--call', '--signal', '--receive'), whole, word)
    .map(([flag, said, role]) => [flag, said, `--role=${role}`, '--all']),
  fc.array(option, { maxLength: 4 }).map(lists => lists.flat()),
)

const questions: fc.Arbitrary<Question> = fc.record({
  policy: fc.oneof(
    { weight: 6, arbitrary: fc.nat().map(seed => policies(randomOf(seed))) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '<policy context="default"><deny send_destination="a.b" log="&#27;[31m"/></policy>',
        '<policy user="\u001b[31m"><allow own="*"/></policy>',
        '<includedir>/proc/self/root</includedir>',
        '<include>/etc/passwd</include>',
        '<policy',
      ),
    },
  ),
  args,
})

/** Of what is printed, all but these would be carried out by a terminal, or hidden by it. */
const HARMLESS = /^[^\p{Cc}\u202a-\u202e\u2066-\u2069]*$/u

/** Longer than any explanation of such a policy, and shorter than what nobody reads. */
const MOST_CHARS = 200_000

const isAnswered = async ({ policy, args: given }: Question): Promise<void> => {
  const root = mkdtempSync(join(tmpdir(), 'pvx-fuzz-explain-'))
  try {
    mkdirSync(join(root, 'usr/share/dbus-1'), { recursive: true })
    mkdirSync(join(root, 'etc'))
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:\nx:x:7:7::/:\n')
    writeFileSync(
      join(root, 'usr/share/dbus-1/system.conf'),
      `<busconfig><listen>unix:path=/run/dbus/system_bus_socket</listen>${policy}</busconfig>`,
    )
    const { code, out, err } = await runInPlace(['policy', 'explain', '--provider-root', root, ...given])
    assert.ok(code === 0 || code === 1 || code === 2, `it ended with ${code}`)
    assert.ok(code === 0 ? out !== '' : out + err !== '', 'it says nothing')
    assert.ok(out.length + err.length <= MOST_CHARS)
    for (const line of `${out}${err}`.split('\n')) assert.match(line, HARMLESS)
  } finally {
    rmSync(root, { recursive: true })
  }
}

export const target = targetOf('explain', 'questions about the policy of a bus, as typed', [
  check({ name: 'question', inputs: questions, kept: Question, tries: 60, holds: isAnswered }),
])
