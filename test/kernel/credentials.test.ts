/** Being somebody else for one call: what the peer sees, and that we are ourselves again on every thread. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { E } from '../../src/fp.ts'
import { actingAs, type Ids } from '../../src/kernel/credentials.ts'
import { failureOf, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'

/** Ids and groups of a thread: real, effective, saved and of the file system (proc_pid_status(5)). */
const idsOf = (task: string): string =>
  readFileSync(`/proc/self/task/${task}/status`, 'utf8')
    .split('\n')
    .filter(line => /^(Uid|Gid|Groups|Cap(Eff|Prm|Inh|Bnd|Amb)):/.test(line))
    .join('\n')

const allThreads = (): readonly string[] => readdirSync('/proc/self/task').map(idsOf)

const acting = (name: string, body: () => void): void => {
  test(name, t => {
    if (needsRoot(t)) body()
  })
}

const CAMERA: Ids = { uid: 1001, gid: 44, supplementary: [44, 29] }

const lineOf = (field: string): readonly string[] =>
  (new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? '')
    .trim()
    .split(/\s+/)

acting("effective ids and groups are the other one's, real and saved ones our own", () => {
  must(
    actingAs(CAMERA, 'camera', () => {
      assert.deepEqual(lineOf('Uid'), ['0', '1001', '0', '1001'])
      assert.deepEqual(lineOf('Gid'), ['0', '44', '0', '44'])
      assert.deepEqual(lineOf('Groups'), ['29', '44'])
    }),
  )
})

acting('everything is as before, on every thread, with all capabilities', () => {
  const before = allThreads()
  for (let i = 0; i < 1000; i += 1) must(actingAs(CAMERA, 'camera', () => i))
  assert.deepEqual(allThreads(), before)
})

acting('no other thread is ever anybody else', () => {
  const main = String(process.pid)
  must(
    actingAs(CAMERA, 'camera', () => {
      for (const task of readdirSync('/proc/self/task'))
        if (task !== main) assert.match(idsOf(task), /^Uid:\s+0\s+0\s+0\s+0$/m)
    }),
  )
})

acting('it is undone where the body throws', () => {
  const before = allThreads()
  assert.throws(
    () =>
      actingAs(CAMERA, 'camera', () => {
        throw new Error('no')
      }),
    /no/,
  )
  assert.deepEqual(allThreads(), before)
})

/** Ids that no process can have (setresuid(2)): each step fails after those before it were done. */
const IMPOSSIBLE: readonly (readonly [call: string, who: Ids])[] = [
  ['setgroups', { ...CAMERA, supplementary: [44, 0xffff_ffff] }],
  ['setgroups', { ...CAMERA, supplementary: Array.from({ length: 65_537 }, (_, i) => i) }],
]

for (const [call, who] of IMPOSSIBLE)
  acting(`a ${call} that fails (${who.supplementary.length} groups) leaves us who we are`, () => {
    const before = allThreads()
    let ran = false
    const error = failureOf(
      actingAs(who, 'nobody', () => {
        ran = true
      }),
    )
    assert.deepEqual([error.call, error.errno, ran], [call, 'EINVAL', false])
    assert.deepEqual(allThreads(), before)
  })

acting('ourselves needs no capability, and changes nothing', () => {
  const groups = (process.getgroups?.() ?? []).filter(group => group !== 0 || lineOf('Groups').includes('0'))
  const own: Ids = { uid: 0, gid: 0, supplementary: groups }
  assert.equal(must(actingAs(own, 'ourselves', () => lineOf('Uid').join())), '0,0,0,0')
})

acting('as many groups as the kernel takes can be had', () => {
  const supplementary = Array.from({ length: 65_536 }, (_, i) => i)
  const seen = actingAs({ uid: 5, gid: 5, supplementary }, 'many', () => lineOf('Groups').length)
  assert.equal(E.isRight(seen) && seen.right, 65_536)
})

const runProgram = (program: string, before: readonly string[], args: readonly string[]) => {
  const [command = process.execPath, ...rest] = [
    ...before,
    process.execPath,
    `build/test/support/${program}.js`,
  ]
  return spawnSync(command, [...rest, ...args], { encoding: 'utf8' })
}

acting('a way back that fails ends the process, which says why', () => {
  const { signal, stdout, stderr } = runProgram('lose-the-way-back', [], [])
  assert.deepEqual([signal, stdout], ['SIGABRT', ''])
  assert.match(stderr, /pv-xconnect: cannot become itself again \(setgroups: EPERM\); aborting/)
})

const outcomesOf = (setpriv: readonly string[], ...users: readonly string[]): unknown => {
  const { stdout, stderr } = runProgram('act-as', ['setpriv', ...setpriv], users)
  assert.equal(stderr, '')
  return JSON.parse(stdout)
}

const WITHOUT = ['--bounding-set', '-setuid,-setgid', '--inh-caps', '-setuid,-setgid']

acting('without the capabilities nobody can be acted as but ourselves', () => {
  assert.deepEqual(
    outcomesOf([...WITHOUT, '--clear-groups'], '0:0', '0:0:0', '1001:44', '0:44:44', '1001:0'),
    [0, 0, 'setgroups EPERM', 'setgroups EPERM', 'setgroups EPERM'],
  )
})

acting('without the capabilities our own groups are not taken for those of another', () => {
  const groups = ['--groups', '29,44']
  assert.deepEqual(outcomesOf([...WITHOUT, ...groups], '0:0:29:44', '0:0:29:44:100', '0:0:29', '0:0'), [
    0,
    0,
    'setgroups EPERM',
    'setgroups EPERM',
  ])
})

acting('one who may set its ids and is not root acts as others, but never as root', () => {
  const who = [
    '--reuid=5',
    '--regid=5',
    '--clear-groups',
    '--inh-caps',
    '+setuid,+setgid',
    '--ambient-caps',
    '+setuid,+setgid',
  ]
  assert.deepEqual(outcomesOf(who, '5:5', '6:6:6', '0:0', '5:5'), [5, 6, 'setresuid EPERM', 5])
})
