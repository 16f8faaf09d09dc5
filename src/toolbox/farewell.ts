/**
 * The end of a withdrawn link's connections. Their sessions are told; what is in progress is given a moment to end by
 * itself, and what is left then is cut. Whoever plants the link anew need not wait for that.
 */
import type { Clock } from '../model/clock.ts'
import type { Connection } from '../relay/connection.ts'

export interface Leaving {
  readonly connections: ReadonlySet<Connection>
  /** How long they may take. */
  readonly graceMs: number
  /** All are closed: what they needed may go too. */
  readonly onGone: () => void
}

export interface Farewells {
  /** How many were cut at once, because they are given no time. */
  begin(leaving: Leaving): number
  /** As `begin`, and resolves when the last one is gone. */
  waitFor(leaving: Leaving): Promise<number>
  /** Cut all that are left. */
  close(): void
}

const LOOK_EVERY_MS = 20

export const createFarewells = (clock: Clock): Farewells => {
  const running = new Set<() => void>()

  const cut = ({ connections, onGone }: Leaving): number => {
    const open = [...connections]
    for (const connection of open) connection.close()
    onGone()
    return open.length
  }

  const start = (leaving: Leaving, done: (cut: number) => void): void => {
    // Who is given no time need not hear of it.
    if (leaving.graceMs > 0) for (const connection of [...leaving.connections]) connection.withdraw()
    const deadline = clock.now() + leaving.graceMs
    let timer: unknown
    const finish = (): void => {
      clock.clearTimeout(timer)
      running.delete(finish)
      done(cut(leaving))
    }
    const look = (): void => {
      if (leaving.connections.size === 0 || clock.now() >= deadline) finish()
      else timer = clock.setTimeout(look, LOOK_EVERY_MS)
    }
    running.add(finish)
    look()
  }

  return {
    begin: leaving => {
      let closed = 0
      start(leaving, count => {
        closed = count
      })
      return closed
    },
    waitFor: leaving => new Promise(resolve => start(leaving, resolve)),
    close: () => {
      for (const finish of [...running]) finish()
    },
  }
}
