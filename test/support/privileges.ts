/**
 * For tests that act in real namespaces, or as root, but need no built daemon.
 * Elsewhere they are skipped and say why; where CI=true they fail, so that nothing is missed in silence.
 */
import type { TestContext } from 'node:test'
import { mayGoOn } from './requirements.ts'

export const isRoot = process.platform === 'linux' && process.geteuid?.() === 0

/** Whether the test may go on. If not it has been skipped, or on a build machine it has failed. */
export const needsRoot = (t: TestContext): boolean =>
  mayGoOn(t, isRoot ? undefined : 'needs root on Linux: it enters namespaces and plants sockets for others')
