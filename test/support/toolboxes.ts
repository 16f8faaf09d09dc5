/** The Linux toolbox on a folder of the test's own, with short patience and a log that can be read. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_LIMITS, type Limits } from '../../src/model/limits.ts'
import type { Reactor } from '../../src/reactor/contract.ts'
import { createReactor } from '../../src/reactor/reactor.ts'
import type { Attention, SocketRequest, ToolboxHost } from '../../src/toolbox/contract.ts'
import { noJournal } from '../../src/toolbox/journal.ts'
import { createLinuxToolbox, type LinuxToolboxOptions } from '../../src/toolbox/linux.ts'
import { aLink, type LinkBuilder } from './builders.ts'
import { must } from './descriptors.ts'
import { fakeLog } from './fakes.ts'

export interface ToolboxBench {
  readonly host: ToolboxHost
  readonly reactor: Reactor
  /** A new folder of the host's; gone after the test. */
  readonly folder: string
  readonly log: ReturnType<typeof fakeLog>
  readonly faults: unknown[]
  readonly attention: Attention[]
  /** A link between two places of the host: from `folder/provider.sock` to `folder/target.sock`. */
  readonly link: LinkBuilder
}

export const requestOf = (link: LinkBuilder, kind: SocketRequest['kind'] = 'stream'): SocketRequest => {
  const { target, provider_pid: pid, socket } = link.build()
  return { kind, target, provider: { pid, socket }, descriptors: 'exact' }
}

/** Where a test may reach into a toolbox. */
export type ToolboxSeams = Partial<Pick<LinuxToolboxOptions, 'atMoment' | 'sysfs' | 'journal'>>

export const withLinuxToolbox = async (
  limits: Partial<Limits>,
  test: (bench: ToolboxBench) => Promise<void>,
  seams: (folder: string) => ToolboxSeams = () => ({}),
): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'pvx-toolbox-'))
  const faults: unknown[] = []
  const reactor = must(createReactor(error => faults.push(error)))
  const log = fakeLog()
  const host = createLinuxToolbox({
    reactor,
    limits: { ...DEFAULT_LIMITS, connectGraceMs: 300, drainMs: 200, ...limits },
    journal: noJournal(),
    log,
    logFor: () => log,
    ...seams(folder),
  })
  const attention: Attention[] = []
  host.onAttention(why => attention.push(why))
  const link = aLink('app')
    .from('net', 0)
    .running(0)
    .socket(join(folder, 'provider.sock'))
    .at(join(folder, 'target.sock'))
  try {
    await test({ host, reactor, folder, log, faults, attention, link })
    const [fault] = faults
    if (fault !== undefined) throw fault
  } finally {
    host.close()
    reactor.close()
    rmSync(folder, { recursive: true })
  }
}
