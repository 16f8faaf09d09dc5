/**
 * Faults at an exact moment of an injection or a dial: the toolbox tells the moment, and what a test laid there happens
 * before the next system call. All of it is synchronous, as the injection is.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hasExited, openPidfd } from '../../src/kernel/process.ts'
import type { Limits } from '../../src/model/limits.ts'
import type { AtMoment, Moment } from '../../src/toolbox/moments.ts'
import { pid } from './builders.ts'
import { type Container, type ContainerOptions, startContainer } from './container.ts'
import { must, openDescriptors } from './descriptors.ts'
import { canRunHere } from './requirements.ts'
import type { Mortal } from './scenario.ts'
import { type ToolboxBench, withLinuxToolbox } from './toolboxes.ts'

export interface FaultBench extends ToolboxBench {
  /** On the host, for what containers have on disk or share. */
  readonly scratch: string
  /** Lay a trap: it goes off once, at the next such moment. */
  readonly at: (moment: Moment, act: () => void) => void
  /** Every moment there was since this was last asked. */
  readonly moments: () => readonly Moment[]
  readonly container: (name: string, options?: ContainerOptions) => Promise<Container>
  /** Killed at the end of the test, whatever happens. */
  readonly adopt: <A extends Mortal>(mortal: A) => A
}

/** Run with a toolbox and containers of its own, all gone afterwards; skipped where that cannot be. */
export const withFaults = async (
  limits: Partial<Limits>,
  t: TestContext,
  body: (bench: FaultBench) => Promise<void>,
): Promise<void> => {
  if (!canRunHere(t)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-faults-'))
  const mortals: Mortal[] = []
  const adopt = <A extends Mortal>(mortal: A): A => {
    mortals.push(mortal)
    return mortal
  }
  const traps: { moment: Moment; act: () => void }[] = []
  let passed: Moment[] = []
  const atMoment: AtMoment = moment => {
    passed.push(moment)
    const index = traps.findIndex(trap => trap.moment === moment)
    if (index >= 0) traps.splice(index, 1)[0]?.act()
  }
  try {
    await withLinuxToolbox(
      limits,
      bench =>
        body({
          ...bench,
          scratch,
          at: (moment, act) => traps.push({ moment, act }),
          moments: () => {
            const since = passed
            passed = []
            return since
          },
          container: async (name, options) => adopt(await startContainer(name, scratch, options)),
          adopt,
        }),
      () => ({ atMoment }),
    )
  } finally {
    await Promise.all(mortals.map(mortal => mortal.kill()))
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** A test of the real toolbox in real containers, with faults. */
export const faulty = (
  name: string,
  body: (bench: FaultBench) => Promise<void>,
  limits: Partial<Limits> = {},
): void => {
  test(name, t => withFaults(limits, t, body))
}

/** Kill a container's init; returns when it has ended, with all that ran inside. */
export const killNow = (container: Container): void => {
  const pidfd = must(openPidfd(pid(container.pid)))
  process.kill(container.pid, 'SIGKILL')
  while (!hasExited(pidfd.borrowed));
  pidfd.close()
}

/** Shell in the container's mount namespace and root, run to its end; what it printed. */
export const inside = (container: Container, script: string): string =>
  execFileSync('nsenter', ['-t', `${container.pid}`, '-m', '-r', '-w', '--', 'sh', '-ec', script], {
    encoding: 'utf8',
  })

/** Every path below a folder of the host. */
export const treeOf = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()

/** Runs `body`, which must leave as many descriptors open as there were. */
export const leakingNothing = async <A>(body: () => Promise<A>): Promise<A> => {
  const before = openDescriptors()
  const result = await body()
  const after = openDescriptors()
  if (after !== before) throw new Error(`${before} descriptors were open, ${after} are now`)
  return result
}

const FEW = 200

/** Of this process; `few` can be used up. */
export const limitDescriptors = (soft: 'few' | 'unlimited'): void => {
  const hard = execFileSync(
    'prlimit',
    ['--pid', `${process.pid}`, '--nofile', '--noheadings', '-o', 'HARD'],
    { encoding: 'utf8' },
  )
  execFileSync('prlimit', [
    '--pid',
    `${process.pid}`,
    `--nofile=${soft === 'unlimited' ? hard.trim() : FEW}:`,
  ])
}

/** Every descriptor that this process may still open. */
export const openAll = (): (() => void) => {
  const opened: number[] = []
  try {
    for (;;) opened.push(openSync('/dev/null', 'r'))
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EMFILE')
  }
  return () => {
    for (const fd of opened) closeSync(fd)
  }
}
