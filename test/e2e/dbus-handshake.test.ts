/** The first lines of a `dbus` link's connections, against a real bus: what is answered to each, and what ends them. */
import assert from 'node:assert/strict'
import { toBus } from '../support/bus-wire.ts'
import { audits, OPERATOR, onOneBus, type Site } from '../support/dbus-site.ts'
import { eventually } from '../support/eventually.ts'

/** Of the identity only its form counts: who the client is, its link says. */
const ID = '30'
const OK = 'OK GUID'
const DATA = 'DATA'
const REJECTED = 'REJECTED EXTERNAL'
const AGREED = 'AGREE_UNIX_FD'
const ERROR = 'ERROR'

/** What is said, what is answered; after the last line it is closed. */
type Row = readonly [says: readonly string[], hears: readonly string[]]

const IN_AUTH: Readonly<Record<string, Row>> = {
  'AUTH with an identity lets in, and CANCEL back out': [
    [`AUTH EXTERNAL ${ID}`, 'CANCEL'],
    [OK, REJECTED],
  ],
  'an identity of an odd number of digits lets in': [
    ['AUTH EXTERNAL 303', 'ERROR'],
    [OK, REJECTED],
  ],
  'an identity that is no hexadecimal number is an error': [['AUTH EXTERNAL root'], [ERROR]],
  'AUTH alone is told what there is': [['AUTH'], [REJECTED]],
  'another mechanism is told what there is': [
    ['AUTH DBUS_COOKIE_SHA1 30', 'AUTH ANONYMOUS'],
    [REJECTED, REJECTED],
  ],
  'ERROR is told what there is': [['ERROR "no"'], [REJECTED]],
  'what is not expected is an error': [
    ['DATA', 'DATA 30', 'CANCEL', 'NEGOTIATE_UNIX_FD', 'HELO', ''],
    [ERROR, ERROR, ERROR, ERROR, ERROR, ERROR],
  ],
  'blanks and tabs divide': [
    ['AUTH \t EXTERNAL\t30', 'CANCEL'],
    [OK, REJECTED],
  ],
  'bytes that are no printable ASCII are an error': [
    ['AUTH EXTERNAL 30\u0001', 'AUTH \u00e4'],
    [ERROR, ERROR],
  ],
}

const IN_DATA: Readonly<Record<string, Row>> = {
  'DATA without an identity lets in': [
    ['AUTH EXTERNAL', 'DATA', 'CANCEL'],
    [DATA, OK, REJECTED],
  ],
  'DATA with one lets in': [
    ['AUTH EXTERNAL', `DATA ${ID}`, 'CANCEL'],
    [DATA, OK, REJECTED],
  ],
  'DATA that is no hexadecimal number is an error': [
    ['AUTH EXTERNAL', 'DATA xyz', 'DATA', 'CANCEL'],
    [DATA, ERROR, OK, REJECTED],
  ],
  'CANCEL and ERROR lead back': [
    ['AUTH EXTERNAL', 'CANCEL', 'AUTH EXTERNAL', 'ERROR', `AUTH EXTERNAL ${ID}`, 'CANCEL'],
    [DATA, REJECTED, DATA, REJECTED, OK, REJECTED],
  ],
  'AUTH is an error while DATA is awaited': [
    ['AUTH EXTERNAL', 'AUTH EXTERNAL 30', 'NEGOTIATE_UNIX_FD', 'CANCEL'],
    [DATA, ERROR, ERROR, REJECTED],
  ],
  'BEGIN ends it while DATA is awaited': [['AUTH EXTERNAL'], [DATA]],
}

const IN_BEGIN: Readonly<Record<string, Row>> = {
  'descriptors are agreed on as often as somebody asks': [
    ['AUTH EXTERNAL 30', 'NEGOTIATE_UNIX_FD', 'NEGOTIATE_UNIX_FD', 'CANCEL'],
    [OK, AGREED, AGREED, REJECTED],
  ],
  'AUTH and DATA are errors once it is let in': [
    ['AUTH EXTERNAL 30', 'AUTH EXTERNAL 30', 'DATA', 'OK 12', 'CANCEL'],
    [OK, ERROR, ERROR, ERROR, REJECTED],
  ],
  'it may cancel and be let in again': [
    ['AUTH EXTERNAL 30', 'CANCEL', 'AUTH EXTERNAL', 'DATA', 'NEGOTIATE_UNIX_FD', 'ERROR'],
    [OK, REJECTED, DATA, OK, AGREED, REJECTED],
  ],
}

/** Texts of errors are free. */
const wordsOf = (said: string): readonly string[] =>
  said
    .split('\r\n')
    .slice(0, -1)
    .map(line => line.replace(/^OK [0-9a-f]{32}$/, OK).replace(/^ERROR .*$/, ERROR))

const conversation =
  ([says, hears]: Row) =>
  async ({ clients }: Site): Promise<void> => {
    const text = Buffer.from(`\0${[...says, 'BEGIN', ''].join('\r\n')}`, 'latin1')
    for (const piece of [0, 1]) {
      const client = await clients.connect()
      await client.put(text, { piece })
      assert.deepEqual(wordsOf(await client.toEnd()), hears, piece === 0 ? 'in one write' : 'byte by byte')
      await client.close()
    }
  }

const tellsOf = async (site: Site, since: number, reason: string): Promise<void> => {
  await eventually(`it logs ${reason}`, () => {
    const reasons = audits(site, 'dbus-handshake-failed', since).map(line => line['reason'])
    if (reasons.includes(reason)) return true
    throw new Error(`it logged ${reasons.join(', ')}`)
  })
}

/** What is said, what is answered before it is closed, and why it is. */
type Ending = readonly [says: string, hears: readonly string[], reason: string]

const lines = (count: number, line: string): string => `${line}\r\n`.repeat(count)
const answers = (count: number, answer: string): readonly string[] =>
  Array.from({ length: count }, () => answer)

const ENDINGS: Readonly<Record<string, Ending>> = {
  'one that does not begin with NUL is closed': ['AUTH EXTERNAL 30\r\n', [], 'no-nul'],
  'one that is refused for the sixth time is told so, and closed': [
    `\0${lines(6, 'AUTH')}${lines(3, 'AUTH')}`,
    answers(6, REJECTED),
    'rejected-too-often',
  ],
  'one of more than 64 lines is closed': [`\0${lines(65, 'HELO')}`, answers(64, ERROR), 'lines'],
  'one with a line of more than 16 KiB is closed': [`\0${'A'.repeat(16_385)}`, [], 'line-length'],
  'BEGIN before anybody was let in ends it': ['\0BEGIN\r\n', [], 'begin-too-early'],
}

const endings: Record<string, (site: Site) => Promise<void>> = {}
for (const [name, [says, hears, reason]] of Object.entries(ENDINGS)) {
  endings[name] = async site => {
    const since = site.world.daemon.log().length
    const client = await site.clients.connect()
    await client.put(says)
    assert.deepEqual(wordsOf(await client.toEnd()), hears)
    await client.close()
    await tellsOf(site, since, reason)
  }
}

onOneBus('the first lines of a dbus link', {
  ...Object.fromEntries(
    Object.entries({ ...IN_AUTH, ...IN_DATA, ...IN_BEGIN }).map(([name, row]) => [name, conversation(row)]),
  ),
  ...endings,

  'a line end is both its characters': async ({ clients }) => {
    const client = await clients.connect()
    await client.put('\0AUTH EXTERNAL 30\nBEGIN\n\r\nBEGIN\r\n')
    assert.deepEqual(wordsOf(await client.toEnd()), [ERROR])
    await client.close()
  },

  'one that sends descriptors before its messages is closed, and they are too': async site => {
    const since = site.world.daemon.log().length
    await site.clients.peer.makePipe('early.end', 'early')
    const client = await site.clients.connect()
    await client.put('\0AUTH EXTERNAL', { descriptors: ['early'] })
    await client.toEnd()
    await client.close()
    await tellsOf(site, since, 'descriptors')
    await site.clients.peer.closeFiles(['early'])
    // The end comes when nobody holds the other side any more.
    assert.equal(await site.clients.peer.readFile('early.end'), '')
    await site.clients.peer.closeFiles(['early.end'])
  },

  'the guid is that of the bus': async ({ clients, parties }) => {
    const guids = await Promise.all(
      [clients, parties].map(async wire => {
        const client = await wire.connect()
        await client.put('\0AUTH EXTERNAL\r\nDATA\r\n')
        const [, ok] = await client.lines(2)
        await client.close()
        return ok
      }),
    )
    assert.equal(guids[0], guids[1])
  },

  'arguments of BEGIN are ignored, and what follows it is a message': async ({ clients }) => {
    const client = await clients.connect()
    await client.begin('\0AUTH EXTERNAL\r\nDATA\r\nBEGIN now please\r\n')
    await client.hello()
    assert.match(client.name, /^:1\.\d+$/)
    await client.close()
  },

  'whoever it says to be, it is the user of its link': async ({ clients }) => {
    for (const says of ['AUTH EXTERNAL 30', 'AUTH EXTERNAL 39393939', 'AUTH EXTERNAL\r\nDATA 30']) {
      const client = await clients.connect()
      await client.put(`\0${says}\r\nBEGIN\r\n`)
      await client.lines(says.includes('DATA') ? 2 : 1)
      await client.hello()
      const outcome = await client.outcome(toBus('GetConnectionUnixUser', client.name))
      assert.deepEqual(outcome, [OPERATOR.uid], says)
      await client.close()
    }
  },
})
