/**
 * HAProxy as a peer of a rest link: the same two fields set on every request, and whatever a client calls so taken away.
 * One thread as we have, no log, nothing limited: as strong as it can be made for this.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Contender, standing } from './contenders.ts'

export const HAPROXY = 'haproxy'

export interface HaproxySettings {
  readonly listenOn: string
  readonly provider: string
  /**
   * Its default of 16 KiB is best for small requests, which cost half as much again with 64 KiB; bodies are up to twice
   * as fast with these.
   */
  readonly bufferBytes: number
}

/** `http-reuse never`, because a rest link never shares a connection to the provider either. */
export const haproxyConfiguration = ({ listenOn, provider, bufferBytes }: HaproxySettings): string => `global
  nbthread 1
  maxconn 4096
  tune.bufsize ${bufferBytes}

defaults
  mode http
  maxconn 4096
  timeout connect 10s
  timeout client 1m
  timeout server 1m
  timeout tunnel 1m
  http-reuse never
  option splice-auto

listen bench
  bind unix@${listenOn}
  http-request del-header x-pv- -m beg
  http-request set-header X-PV-Client host
  http-request set-header X-PV-Role any
  server provider unix@${provider}
`

/** In the foreground, so that its one process is the one that is started. */
export const haproxy = (
  folder: string,
  settings: HaproxySettings,
  isUp: (target: string) => Promise<boolean>,
): Promise<Contender> => {
  const file = join(folder, `haproxy-${settings.bufferBytes}.cfg`)
  writeFileSync(file, haproxyConfiguration(settings))
  return standing(HAPROXY, 'peer', settings.listenOn, [HAPROXY, '-db', '-q', '-f', file], isUp)
}
