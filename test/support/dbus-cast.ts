/**
 * A filtered client and all whom it can meet on a bus, each led by the test: its service, one that is named by what stands before the
 * dots of its name, and one that it must not know. The bus itself forbids nothing, so that whatever is denied was denied by the link.
 */
import type { TestContext } from 'node:test'
import { busConfig, EXAMPLE } from './bus.ts'
import { argumentsOf, type BusClient, toBus } from './bus-wire.ts'
import { onOneBus, type Site, type SiteOptions } from './dbus-site.ts'
import { eventually } from './eventually.ts'

/** What stands before the dots of the service's name. */
export const PREFIX = 'org.pantavisor'
/** One whose name only begins with the same letters. */
export const HIDDEN = 'org.pantavisor.ExampleEvil'
/** Nobody has it. */
export const MISSING = 'org.pantavisor.ExampleNone'

/** Of a stock bus: everything is allowed. */
const ALLOW_ALL = busConfig(`
  <policy context="default">
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow receive_type="signal"/>
  </policy>`)

export interface Cast {
  readonly client: BusClient
  /** It owns `org.pantavisor.Example`. */
  readonly service: BusClient
  /** It owns `org.pantavisor`. */
  readonly prefix: BusClient
  /** It owns `org.pantavisor.ExampleEvil`. */
  readonly hidden: BusClient
  readonly site: Site
}

const DO_NOT_QUEUE = 4

export const own = async (party: BusClient, name: string): Promise<void> => {
  const answer = await party.outcome(toBus('RequestName', name, DO_NOT_QUEUE))
  if (answer[0] !== 1) throw new Error(`${name} is not to be had: ${answer}`)
  await party.settled()
}

export const release = async (party: BusClient, name: string): Promise<void> => {
  await party.ask(toBus('ReleaseName', name))
  await party.settled()
}

/** The bus has noticed that nobody has them any more. */
const untilFree = async ({ parties }: Site, names: readonly string[]): Promise<void> => {
  const last = await parties.client()
  await eventually('the names are free', async () => {
    for (const name of names) if ((await last.outcome(toBus('NameHasOwner', name)))[0] !== 0) return false
    return true
  })
  await last.close()
}

const withCast = async (site: Site, use: (cast: Cast) => Promise<void>): Promise<void> => {
  const [service, prefix, hidden] = await Promise.all([
    site.parties.client(),
    site.parties.client(),
    site.parties.client(),
  ])
  await Promise.all([own(service, EXAMPLE), own(prefix, PREFIX), own(hidden, HIDDEN)])
  const client = await site.clients.client()
  try {
    await use({ client, service, prefix, hidden, site })
  } finally {
    for (const each of [client, service, prefix, hidden]) await each.close()
    await untilFree(site, [EXAMPLE, PREFIX, HIDDEN])
  }
}

/** Tests on a link for `org.pantavisor.Example`, each with a cast of its own. */
export const onOneStage = (
  name: string,
  rows: Readonly<Record<string, (cast: Cast, t: TestContext) => Promise<void>>>,
  options: SiteOptions = {},
): void => {
  const release = async ({ service }: Site): Promise<void> => {
    await service.order(`release ${EXAMPLE}`)
  }
  onOneBus(
    name,
    {
      'the name of its service is free': release,
      ...Object.fromEntries(
        Object.entries(rows).map(([sentence, row]) => [
          sentence,
          (site: Site, t: TestContext) => withCast(site, cast => row(cast, t)),
        ]),
      ),
    },
    { interface: EXAMPLE, bus: { policy: ALLOW_ALL }, ...options },
  )
}

/** Hear every signal that anybody lets it hear. */
export const listen = async (client: BusClient): Promise<void> => {
  await client.ask(toBus('AddMatch', "type='signal'"))
}

/** What it has heard: each signal by its interface and member, and what it says first. */
export const signalsOf = async (client: BusClient): Promise<readonly string[]> =>
  (await client.settled())
    .filter(({ type }) => type === 4)
    .map(message => {
      const { interface: of, member } = message.named
      return [`${of}.${member}`, ...argumentsOf(message).slice(0, 1)].join(' ')
    })
