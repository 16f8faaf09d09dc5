/**
 * The ways of an HTTP request to its provider that are held against each other: direct, through a rest link, through a
 * unix link of the same daemon, which only relays, and through HAProxy. They have a provider of their own, and run for
 * as long as the measure does.
 */
import { isInstalled } from '../support/requirements.ts'
import { type Contender, direct, withLink } from './contenders.ts'
import type { Bench } from './contract.ts'
import type { GraphDaemon } from './graph-daemon.ts'
import { hostEntry } from './graph-entries.ts'
import { HAPROXY, haproxy } from './haproxy.ts'
import type { Requests } from './http-generator.ts'
import { answersHttp } from './probe.ts'
import { bringUp, type Up, type Way, type Ways } from './ways.ts'

export interface HttpWay extends Way {
  /** Whether requests arrive with an identity that the client did not write. */
  readonly identities: Requests['identities']
}

export type HttpContender = Up<HttpWay>

export interface HttpField extends Pick<Ways<HttpWay>, 'contenders' | 'absent'> {
  readonly ways: readonly HttpWay[]
  readonly close: () => Promise<void>
}

const throughLink = (
  { newPath }: Bench,
  provider: string,
  daemon: GraphDaemon,
  type: 'rest' | 'unix',
): (() => Promise<Contender>) => {
  return () => {
    const target = newPath()
    return withLink(
      daemon,
      { ...hostEntry('http', provider, target), type, interface: type },
      target,
      answersHttp,
    )
  }
}

const linkWay = (bench: Bench, provider: string, daemon: GraphDaemon): readonly HttpWay[] => {
  const rest = throughLink(bench, provider, daemon, 'rest')
  if (daemon.role === 'peer') return [{ name: daemon.name, role: 'peer', identities: 1, start: rest }]
  const relay = throughLink(bench, provider, daemon, 'unix')
  return [
    { name: `${daemon.name} rest`, role: daemon.role, identities: 1, start: rest },
    { name: `${daemon.name} unix`, role: 'relay', identities: 0, start: relay },
  ]
}

const haproxyWay = ({ scratch, newPath }: Bench, provider: string, bufferBytes: number): HttpWay => ({
  name: HAPROXY,
  role: 'peer',
  identities: 1,
  start: async () => {
    if (!isInstalled(HAPROXY)) throw new Error('it is not installed (Debian: apt-get install haproxy)')
    return haproxy(scratch, { listenOn: newPath(), provider, bufferBytes }, answersHttp)
  },
})

/** `haproxyBufferBytes`: what HAProxy is best with for what is measured. */
export const openHttpField = async (bench: Bench, haproxyBufferBytes: number): Promise<HttpField> => {
  const socket = bench.newPath()
  const provider = await bench.http.provide(socket)
  const ways: readonly HttpWay[] = [
    { name: 'direct', role: 'reference', identities: 0, start: async () => direct(socket) },
    ...bench.daemons.flatMap(daemon => linkWay(bench, socket, daemon)),
    haproxyWay(bench, socket, haproxyBufferBytes),
  ]
  const { contenders, absent, stop } = await bringUp(ways)
  return {
    ways,
    contenders,
    absent,
    close: async () => {
      await stop()
      await provider.stop()
    },
  }
}
