/**
 * The greeting of a `unix+greeting` link, version 1: one line of JSON that tells the provider who comes, before any byte of the
 * consumer's. Its form is fixed: keys in this order, no spaces, ASCII only, a newline at the end, at most 1024 bytes.
 */
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { Link } from '../../src/model/link.ts'
import type { PeerCredentials } from '../../src/relay/contract.ts'

const MOST_BYTES = 1024

/** JSON may have any character escaped (RFC 8259 section 7); these are those that are not printable ASCII. */
const asciiOf = (json: string): string =>
  json.replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

const lineOf = ({ consumer, role, name: service }: Link, { pid, uid, gid }: PeerCredentials): string =>
  `${asciiOf(JSON.stringify({ pvx: 1, consumer, role, service, pid, uid, gid }))}\n`

/** The longest that numbers get. */
const LONGEST: PeerCredentials = { pid: 4_194_304, uid: 4_294_967_295, gid: 4_294_967_295 }

/** Whose names leave no room is refused when the link is set up, and not when a client comes. */
export const greetingFor = (link: Link): E.Either<InjectError, (peer: PeerCredentials) => Uint8Array> =>
  lineOf(link, LONGEST).length > MOST_BYTES
    ? E.left({
        _tag: 'OptionRefused',
        option: 'greeting',
        reason: `consumer, role and name must leave room for it in ${MOST_BYTES} bytes`,
      })
    : E.right(peer => new TextEncoder().encode(lineOf(link, peer)))
