/**
 * Who may ask the inspector anything. Pure: a request's head in, what it may see out.
 * A browser runs the pages of strangers beside ours, and any of them may ask this machine's loopback. So a request must
 * name us by a loopback name (a name of theirs that resolves to 127.0.0.1 is DNS rebinding), must not come from a page
 * of another origin, and must know the token, which only who started the inspector was told.
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface Ask {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

export type Admission =
  /** `path`: what follows the token. */
  | { readonly _tag: 'Admitted'; readonly path: string; readonly query: URLSearchParams }
  | { readonly _tag: 'Refused'; readonly status: number; readonly reason: string }

const refused = (status: number, reason: string): Admission => ({ _tag: 'Refused', status, reason })

/** Any port: behind `ssh -L` the browser knows us by another one. */
const LOOPBACK_HOST = /^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])(:\d{1,5})?$/i

export const admit = (token: string, { method, url, headers }: Ask): Admission => {
  const { host, origin } = headers
  if (host === undefined || !LOOPBACK_HOST.test(host)) {
    return refused(403, 'Ask for this machine by a loopback name, as the URL that was printed does.')
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    return refused(403, 'Pages of other origins may not ask.')
  }
  if (!isSameSite(headers)) return refused(403, 'Pages of other sites may not ask.')
  if (method !== 'GET') return refused(405, 'There is nothing here but to look at.')
  const [, given = '', path] = /^\/([^/?]*)(?:\/([^?]*))?(?:\?.*)?$/.exec(url) ?? []
  if (!sameToken(given, token)) return refused(403, 'The token is wrong. Use the URL that was printed.')
  if (path === undefined) return refused(404, 'The URL ends with a slash.')
  const [, query = ''] = url.split('?', 2)
  return { _tag: 'Admitted', path, query: new URLSearchParams(query) }
}

/** What browsers say of themselves (Fetch Metadata). Only a person may come from elsewhere, by opening the page itself. */
const isSameSite = (headers: IncomingHttpHeaders): boolean => {
  const site = headers['sec-fetch-site']
  if (site === undefined || site === 'same-origin' || site === 'none') return true
  return headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
}

/** Takes as long for a token that is nearly right as for any other of its length. */
const sameToken = (given: string, token: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(token)]
  return a.length === b.length && timingSafeEqual(a, b)
}
