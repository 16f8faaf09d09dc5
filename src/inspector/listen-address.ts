/**
 * Where the inspector may listen: on this machine's loopback and nowhere else, whatever anybody asks for. Pure.
 * What it shows tells much about a device; who wants to see it from elsewhere comes by ssh, which asks who they are.
 */
import { E } from '../fp.ts'
import type { InspectorError } from './errors.ts'

export interface ListenAddress {
  /** As Node takes it: `127.0.0.1`, `::1`. */
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

export const DEFAULT_ADDRESS: ListenAddress = { host: '127.0.0.1', port: 0 }

const MAX_PORT = 65_535

/** `9300`, `:9300`, `127.0.0.1:9300`, `localhost:0`, `[::1]:9300`, `127.0.0.1`. Empty: the default. */
export const parseListenAddress = (text: string): E.Either<InspectorError, ListenAddress> => {
  const refused = (reason: string): E.Either<InspectorError, ListenAddress> =>
    E.left({ _tag: 'InspectorAddressRefused', address: JSON.stringify(text), reason })
  if (text === '') return E.right(DEFAULT_ADDRESS)
  const parts =
    /^(?<host>\[[0-9a-fA-F:.]*\]|[^:[\]]*)(?::(?<port>\d+))?$/.exec(/^\d+$/.test(text) ? `:${text}` : text)
      ?.groups ?? {}
  const { host, port = '0' } = parts
  if (host === undefined) return refused('it is not of the form HOST:PORT')
  if (Number(port) > MAX_PORT) return refused(`a port is at most ${MAX_PORT}`)
  const bare = host.replace(/^\[|\]$/g, '')
  // A name is not resolved: /etc/hosts could say anything.
  const loopback = bare === '' || bare === 'localhost' ? DEFAULT_ADDRESS.host : bare
  if (!isLoopback(loopback)) return refused('it would be seen from other machines')
  return E.right({ host: loopback, port: Number(port) })
}

/** 127.0.0.0/8 and ::1 (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
export const isLoopback = (host: string): boolean =>
  host === '::1' || (/^127(\.\d{1,3}){3}$/.test(host) && host.split('.').every(part => Number(part) <= 255))

/** As it stands in a URL. */
export const inUrl = ({ host, port }: ListenAddress): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`
