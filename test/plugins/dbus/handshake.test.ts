/** A connection before its messages: what a client may say, and what it and the bus get to hear. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AUTH, DbusStage, GUID, line, type Staging } from '../../support/dbus-stage.ts'

const ERROR_LINE = /ERROR "[^"]+"⏎/g

/** What a client hears of these lines where the bus lets everybody in, agrees to descriptors, and says so at once. */
const answersTo = (text: string, staging: Staging = {}): { heard: string; stage: DbusStage } => {
  const stage = new DbusStage(staging)
  converse(stage, [line(text)])
  return { heard: stage.text('consumer'), stage }
}

/** Give these pieces of the client's, and answer for the bus whenever it is asked. */
const converse = (stage: DbusStage, pieces: readonly Uint8Array[]): void => {
  let answered = 0
  for (const piece of pieces) {
    stage.sends('consumer', piece)
    for (let heard = stage.text('provider'); heard.length > answered; heard = stage.text('provider')) {
      const asked = heard.slice(answered)
      answered = heard.length
      if (asked.includes('AUTH ')) stage.says('provider', `OK ${GUID}⏎`)
      if (asked.includes('NEGOTIATE_UNIX_FD')) stage.says('provider', 'AGREE_UNIX_FD⏎')
    }
  }
}

const OK = `OK ${GUID}⏎`
const REJECTED = 'REJECTED EXTERNAL⏎'

/** What a client says, what it hears, and what the bus does. `E` stands for any ERROR line. */
const TABLE: Readonly<Record<string, readonly [said: string, heard: string, bus?: string]>> = {
  'in one line': ['␀AUTH EXTERNAL 31303030⏎', OK, AUTH],
  'with another uid than its own, which does not count': ['␀AUTH EXTERNAL 30⏎', OK, AUTH],
  'with an odd count of digits': ['␀AUTH EXTERNAL 303⏎', OK, AUTH],
  'with letters in either case': ['␀AUTH EXTERNAL aAfF⏎', OK, AUTH],
  'with blanks and tabs': ['␀AUTH \t EXTERNAL\t30⏎', OK, AUTH],
  'with what is no number': ['␀AUTH EXTERNAL 3x⏎', 'E', ''],
  'with two numbers': ['␀AUTH EXTERNAL 30 30⏎', 'E', ''],
  'in two lines': ['␀AUTH EXTERNAL⏎DATA⏎', `DATA⏎${OK}`, AUTH],
  'in two lines, the second with a number': ['␀AUTH EXTERNAL⏎DATA 30⏎', `DATA⏎${OK}`, AUTH],
  'in two lines, the second with no number': ['␀AUTH EXTERNAL⏎DATA x⏎DATA⏎', `DATA⏎E${OK}`, AUTH],
  'after it has asked for mechanisms': ['␀AUTH⏎AUTH EXTERNAL 30⏎', `${REJECTED}${OK}`, AUTH],
  'by another mechanism': ['␀AUTH DBUS_COOKIE_SHA1 30⏎', REJECTED, ''],
  'by a mechanism in small letters': ['␀AUTH external 30⏎', REJECTED, ''],
  'after an error of its own': ['␀ERROR "x"⏎AUTH EXTERNAL 30⏎', `${REJECTED}${OK}`, AUTH],
  'with a command in small letters': ['␀auth EXTERNAL 30⏎', 'E', ''],
  'with a blank in front': ['␀ AUTH EXTERNAL 30⏎', 'E', ''],
  'with an empty line first': ['␀⏎AUTH EXTERNAL 30⏎', `E${OK}`, AUTH],
  'with lines that are not expected yet': ['␀DATA⏎CANCEL⏎NEGOTIATE_UNIX_FD⏎HELLO⏎', 'EEEE', ''],
  'and cancels in the middle': ['␀AUTH EXTERNAL⏎CANCEL⏎AUTH EXTERNAL 30⏎', `DATA⏎${REJECTED}${OK}`, AUTH],
  'and says ERROR in the middle': ['␀AUTH EXTERNAL⏎ERROR⏎AUTH EXTERNAL 30⏎', `DATA⏎${REJECTED}${OK}`, AUTH],
  'and says other things in the middle': [
    '␀AUTH EXTERNAL⏎AUTH EXTERNAL 30⏎NEGOTIATE_UNIX_FD⏎x⏎DATA⏎',
    `DATA⏎EEE${OK}`,
    AUTH,
  ],
  'and asks for descriptors': [
    '␀AUTH EXTERNAL 30⏎NEGOTIATE_UNIX_FD⏎',
    `${OK}AGREE_UNIX_FD⏎`,
    `${AUTH}NEGOTIATE_UNIX_FD⏎`,
  ],
  'and asks for descriptors twice': [
    '␀AUTH EXTERNAL 30⏎NEGOTIATE_UNIX_FD⏎NEGOTIATE_UNIX_FD⏎',
    `${OK}AGREE_UNIX_FD⏎AGREE_UNIX_FD⏎`,
    `${AUTH}NEGOTIATE_UNIX_FD⏎`,
  ],
  'and asks again when it is in': ['␀AUTH EXTERNAL 30⏎AUTH EXTERNAL 30⏎DATA⏎x⏎', `${OK}EEE`, AUTH],
  'and thinks better of it, twice': [
    '␀AUTH EXTERNAL 30⏎CANCEL⏎AUTH EXTERNAL 30⏎ERROR⏎AUTH EXTERNAL⏎DATA⏎',
    `${OK}${REJECTED}${OK}${REJECTED}DATA⏎${OK}`,
    AUTH,
  ],
  'and begins': ['␀AUTH EXTERNAL 30⏎BEGIN⏎', OK, `${AUTH}BEGIN⏎`],
  'and begins with arguments': ['␀AUTH EXTERNAL 30⏎BEGIN now⏎', OK, `${AUTH}BEGIN⏎`],
  'all at once, as sd-bus does': [
    '␀AUTH EXTERNAL⏎DATA⏎NEGOTIATE_UNIX_FD⏎BEGIN⏎',
    `DATA⏎${OK}AGREE_UNIX_FD⏎`,
    `${AUTH}NEGOTIATE_UNIX_FD⏎BEGIN⏎`,
  ],
  'with a lone LF': ['␀AUTH EXTERNAL 30\nAUTH EXTERNAL 30⏎', 'E', ''],
  'with a lone CR': ['␀AUTH EXTERNAL\r 30⏎', 'E', ''],
  'with a byte that is no ASCII': ['␀AUTH EXTERNAL 30\xe9⏎AUTH EXTERNAL 30⏎', `E${OK}`, AUTH],
  'with a NUL in a line': ['␀AUTH␀EXTERNAL 30⏎', 'E', ''],
}

/** The lines are as wanted, `E` being any ERROR line. */
const matches = (heard: string, wanted: string): void => {
  assert.equal(heard.replaceAll(ERROR_LINE, 'E'), wanted)
}

for (const [what, [said, heard, bus]] of Object.entries(TABLE)) {
  test(`a client asks to be let in ${what}`, () => {
    const { heard: got, stage } = answersTo(said)
    matches(got, heard)
    assert.equal(stage.text('provider'), bus ?? '')
    assert.equal(stage.closing, undefined)
  })

  test(`a client asks to be let in, byte by byte, ${what}`, () => {
    const stage = new DbusStage()
    converse(
      stage,
      [...line(said)].map(octet => Uint8Array.of(octet)),
    )
    matches(stage.text('consumer'), heard)
    assert.equal(stage.text('provider'), bus ?? '')
    assert.equal(stage.closing, undefined)
  })
}

const CLOSED: Readonly<Record<string, readonly [said: string, heard: string, reason: string]>> = {
  'does not begin with NUL': ['AUTH EXTERNAL 30⏎', '', 'no-nul'],
  'begins before it was let in': ['␀BEGIN⏎', '', 'begin-too-early'],
  'begins in the middle of it': ['␀AUTH EXTERNAL⏎BEGIN⏎', 'DATA⏎', 'begin-too-early'],
  'begins after it was rejected': ['␀AUTH⏎BEGIN⏎', REJECTED, 'begin-too-early'],
  'is rejected for the sixth time': [
    '␀AUTH⏎AUTH⏎AUTH⏎AUTH⏎AUTH⏎AUTH⏎AUTH⏎',
    REJECTED.repeat(6),
    'rejected-too-often',
  ],
  'says one line too many': [`␀${'x⏎'.repeat(65)}`, 'E'.repeat(64), 'lines'],
  'says a line without an end': [`␀${'x'.repeat(16_385)}`, '', 'line-length'],
  'says a line that is too long': [`␀${'x'.repeat(16_383)}⏎`, '', 'line-length'],
}

for (const [what, [said, heard, reason]] of Object.entries(CLOSED)) {
  test(`a client that ${what} is closed`, () => {
    const { heard: got, stage } = answersTo(said)
    matches(got, heard)
    assert.equal(stage.closing, 'flush')
    assert.deepEqual(stage.reports, [`dbus-handshake-failed ${reason}`])
    assert.equal(stage.counted(`handshakes_failed reason=${reason.replaceAll('-', '_')}`), 1)
  })
}

test('the longest line there may be is answered', () => {
  const { heard, stage } = answersTo(`␀${'x'.repeat(16_382)}⏎`)
  matches(heard, 'E')
  assert.equal(stage.closing, undefined)
})

test('five rejections are no reason to close', () => {
  assert.equal(answersTo('␀AUTH⏎AUTH⏎AUTH⏎AUTH⏎AUTH⏎').stage.closing, undefined)
})

// The bus.

test('the bus is not dialled for a client that has not asked to be let in', () => {
  for (const said of ['', '␀', '␀AUTH EXTERNAL 30', '␀AUTH⏎', '␀x⏎']) {
    assert.equal(answersTo(said).stage.commands.said.includes('dial role'), false, said)
  }
})

test('the bus is dialled once, as the role', () => {
  const { said } = answersTo('␀AUTH EXTERNAL⏎DATA⏎CANCEL⏎AUTH EXTERNAL 30⏎').stage.commands
  assert.deepEqual(
    said.filter(each => each.startsWith('dial')),
    ['dial role'],
  )
})

test('the bus hears the uid as its provider numbers it', () => {
  const { stage } = answersTo('␀AUTH EXTERNAL 30⏎', { as: { uid: 4294967294, gid: 1 } })
  const digits = Buffer.from('4294967294').toString('hex')
  assert.equal(stage.text('provider'), `AUTH EXTERNAL ${digits}⏎`)
})

test('a client waits for its answer until the bus has given it', () => {
  const stage = new DbusStage({ dials: 'when told' })
  stage.says('consumer', '␀AUTH EXTERNAL 30⏎NEGOTIATE_UNIX_FD⏎BEGIN⏎')
  assert.equal(stage.text('consumer'), '')
  stage.commands.dialled()
  assert.equal(stage.text('consumer'), '')
  stage.says('provider', `OK ${GUID}`)
  assert.equal(stage.text('consumer'), '')
  stage.says('provider', '⏎')
  assert.equal(stage.text('consumer'), OK)
  assert.equal(stage.text('provider'), `${AUTH}NEGOTIATE_UNIX_FD⏎`)
  stage.says('provider', 'AGREE_UNIX_FD⏎')
  assert.equal(stage.text('consumer'), `${OK}AGREE_UNIX_FD⏎`)
  assert.equal(stage.text('provider'), `${AUTH}NEGOTIATE_UNIX_FD⏎BEGIN⏎`)
})

test('a bus that lets in before the client has said who it is keeps nobody waiting', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL⏎').says('provider', OK)
  assert.equal(stage.text('consumer'), 'DATA⏎')
  stage.says('consumer', 'DATA⏎')
  assert.equal(stage.text('consumer'), `DATA⏎${OK}`)
})

test('a bus without descriptors is one for the client too', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎NEGOTIATE_UNIX_FD⏎')
  stage.says('provider', OK).says('provider', 'ERROR "no"⏎')
  matches(stage.text('consumer'), `${OK}E`)
  assert.equal(stage.closing, undefined)
})

test('a bus that refuses its uid is named in the log, and the client is rejected', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', 'REJECTED EXTERNAL⏎')
  assert.equal(stage.text('consumer'), REJECTED)
  assert.equal(stage.closing, 'flush')
  assert.deepEqual(stage.commands.reports, [
    { event: 'dbus-handshake-failed', facts: { reason: 'bus-rejected', uid: 1000 } },
  ])
})

const ODD: readonly string[] = ['OK⏎', 'OK 12⏎', `OK ${GUID}x⏎`, 'DATA⏎', 'x⏎', '⏎', `ok ${GUID}⏎`, 'ERROR⏎']

for (const said of ODD) {
  test(`a bus that says ${said} is no bus`, () => {
    const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', said)
    assert.equal(stage.text('consumer'), '')
    assert.deepEqual(stage.reports, ['dbus-handshake-failed bus-answer'])
  })
}

test('a bus that agrees to what nobody asked for is no bus', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎')
  stage.says('provider', `${OK}AGREE_UNIX_FD⏎`)
  assert.equal(stage.closing, 'flush')
})

test('a bus that never ends its line is no bus', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', 'O'.repeat(16_385))
  assert.equal(stage.closing, 'flush')
})

for (const failed of ['timeout', 'refused', 'kind-mismatch', 'identity'] as const) {
  test(`a bus that cannot be reached (${failed}) closes the client`, () => {
    const stage = new DbusStage({ dials: 'when told' }).says('consumer', '␀AUTH EXTERNAL 30⏎')
    stage.commands.dialled(failed)
    assert.equal(stage.closing, 'flush')
    assert.equal(stage.counted(`dial_failures reason=${failed.replace('-', '_')}`), 1)
  })
}

test('a client that does not come to BEGIN in time is closed', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', OK)
  stage.commands.elapse(29_999)
  assert.equal(stage.closing, undefined)
  stage.commands.elapse(1)
  assert.deepEqual(stage.reports, ['dbus-handshake-failed timeout'])
})

test('after BEGIN there is no such limit', () => {
  const stage = new DbusStage().begins()
  stage.commands.elapse(1_000_000)
  assert.equal(stage.closing, undefined)
})

// Descriptors come with messages.

test('a descriptor before BEGIN closes the connection', () => {
  const texts = ['␀', '␀AUTH EXTERNAL 30⏎', '␀AUTH EXTERNAL 30⏎BEGIN⏎']
  for (const text of texts) {
    const stage = new DbusStage().sends('consumer', line(text), [5])
    assert.deepEqual(stage.reports, ['dbus-handshake-failed descriptors'])
  }
})

test('a descriptor with BEGIN and nothing behind it closes the connection', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', OK)
  stage.sends('consumer', line('BEGIN⏎'), [5])
  assert.deepEqual(stage.reports, ['dbus-handshake-failed descriptors'])
})

test('who leaves before BEGIN leaves nothing behind', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', OK)
  stage.commands.end('consumer')
  assert.equal(stage.closing, 'flush')
  assert.deepEqual(stage.reports, [])
  assert.equal(stage.counted('handshakes_failed reason=client_left'), 1)
})

test('a bus that leaves before BEGIN takes its client with it', () => {
  const stage = new DbusStage().says('consumer', '␀AUTH EXTERNAL 30⏎')
  stage.commands.end('provider', true)
  assert.deepEqual(stage.reports, ['dbus-handshake-failed bus-left'])
})
