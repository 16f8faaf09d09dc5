/** Messages of a `dbus` link on a real bus: both byte orders, any cut, descriptors where they belong, and what ends a connection. */
import assert from 'node:assert/strict'
import { permissiveAt } from '../support/bus.ts'
import { argumentsOf, type BusClient, bodyOf, signalled, WITHOUT_DESCRIPTORS } from '../support/bus-wire.ts'
import { audits, type BusEnds, onOneBus, type Site, withEnds } from '../support/dbus-site.ts'
import { BUS, type Field, field, fields, message } from '../support/dbus-wire.ts'
import { eventually } from '../support/eventually.ts'

const ECHO = {
  destination: 'org.pantavisor.Example',
  path: '/org/pantavisor/Example',
  interface: 'org.pantavisor.Example',
  member: 'Echo',
}
const FOR_TEST = { path: '/test', interface: 'org.example.Test' }

// What a header can have wrong, and by which word it is counted.

const PATH = field('path', '/test')
const MEMBER = field('member', 'Ask')
const TO_BUS = field('destination', BUS)
const CALL: readonly Field[] = [PATH, MEMBER, TO_BUS]

const nested = (depth: number): Field => ({
  code: 200,
  type: `${'a'.repeat(depth)}y`,
  value: Buffer.alloc(4),
})

/** One variant within another, so many times: their signatures, then a byte. */
const variants = (depth: number): Buffer =>
  Buffer.concat([
    ...Array.from({ length: depth }, () => Buffer.from([1, 0x76, 0])),
    Buffer.from([1, 0x79, 0, 7]),
  ])

const VIOLATIONS: Readonly<Record<string, readonly [bytes: Buffer, reason: string]>> = {
  'another byte order than the two': [message({ order: 'x', fields: CALL }), 'byte-order'],
  'another version': [message({ version: 2, fields: CALL }), 'version'],
  'type 0': [message({ type: 0, fields: CALL }), 'type'],
  'serial 0': [message({ serial: 0, fields: CALL }), 'serial'],
  'fields of more than 1 MiB': [message({ fields: CALL, fieldsLength: 2 ** 20 + 1 }), 'fields-length'],
  'more than 128 MiB': [message({ fields: CALL, bodyLength: 2 ** 27 }), 'message-length'],
  'a length beyond all bounds': [message({ fields: CALL, bodyLength: 0xffffffff }), 'message-length'],
  'a field that ends behind the fields': [message({ fields: CALL, fieldsLength: 30 }), 'field-bounds'],
  'field code 0': [message({ fields: [...CALL, { code: 0, type: 's', value: 'x' }] }), 'field-code'],
  'a known field of another type': [
    message({ fields: [PATH, { ...MEMBER, type: 'o', value: '/a' }] }),
    'field-type',
  ],
  'a destination twice': [
    message({ fields: [...CALL, field('destination', 'org.example.A')] }),
    'field-repeated',
  ],
  'a path that is none': [message({ fields: [field('path', '/a//b'), MEMBER] }), 'field-value'],
  'a member with a dot': [message({ fields: [PATH, field('member', 'a.b')] }), 'field-value'],
  'an interface of one element': [message({ fields: [...CALL, field('interface', 'org')] }), 'field-value'],
  'an interface with a hyphen': [
    message({ fields: [...CALL, field('interface', 'org.a-b')] }),
    'field-value',
  ],
  'a name of 256 letters': [
    message({ fields: [PATH, MEMBER, field('destination', `a.${'b'.repeat(254)}`)] }),
    'field-value',
  ],
  'a name with a NUL within': [
    message({ fields: [PATH, MEMBER, field('destination', 'a.b\0.c')] }),
    'field-value',
  ],
  'a call without a path': [message({ fields: [MEMBER, TO_BUS] }), 'field-missing'],
  'a call without a member': [message({ fields: [PATH, TO_BUS] }), 'field-missing'],
  'a signal without an interface': [message({ type: 4, fields: [PATH, MEMBER] }), 'field-missing'],
  'a return to nothing': [message({ type: 2, fields: [TO_BUS] }), 'field-missing'],
  'a return to serial 0': [
    message({ type: 2, fields: fields({ replySerial: 0, destination: BUS }) }),
    'field-value',
  ],
  'an error without a name': [message({ type: 3, fields: fields({ replySerial: 1 }) }), 'field-missing'],
  'the path of what is local': [
    message({ fields: [field('path', '/org/freedesktop/DBus/Local'), MEMBER] }),
    'local',
  ],
  'the interface of what is local': [
    message({ type: 4, fields: [PATH, MEMBER, field('interface', 'org.freedesktop.DBus.Local')] }),
    'local',
  ],
  'an unknown field of no type': [
    message({ fields: [...CALL, { code: 99, type: '', value: Buffer.alloc(0) }] }),
    'field-bounds',
  ],
  'an unknown field of 33 arrays': [message({ fields: [...CALL, nested(33)] }), 'field-value'],
  'an unknown field of 65 variants': [
    message({ fields: [...CALL, { code: 99, type: 'v', value: variants(65) }] }),
    'field-value',
  ],
}

/** Whether a bus by itself closes for it as well: nobody is stricter here than the bus. */
const isClosed = async (client: BusClient, bytes: Buffer): Promise<boolean> => {
  await client.put(bytes)
  try {
    await client.ask({ destination: BUS, path: '/', interface: `${BUS}.Peer`, member: 'Ping' })
    return false
  } catch {
    return true
  } finally {
    await client.close()
  }
}

const violation =
  ([bytes, reason]: readonly [Buffer, string]) =>
  async (site: Site): Promise<void> => {
    const since = site.world.daemon.log().length
    const client = await site.clients.client()
    await client.put(bytes)
    await client.toEnd()
    await client.close()
    await eventually('it is logged', () => {
      const reasons = audits(site, 'dbus-protocol-error', since).map(line => line['reason'])
      if (reasons.length === 1 && reasons[0] === reason) return true
      throw new Error(`it logged ${reasons.join(', ')}`)
    })
    // A length beyond what the daemon takes is the one thing that a bus may wait for.
    if (!/length$/.test(reason)) assert.ok(await isClosed(await site.parties.client(), bytes), 'by a bus too')
  }

const withFiles = async (
  { peer }: Site['clients'],
  prefix: string,
  count: number,
): Promise<readonly string[]> => {
  await peer.makeMemfds(prefix, count)
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}

/** Send a message with descriptors one way; what they hold where they come out. */
const passed = async (
  { to, from, wire }: { to: BusClient; from: BusClient; wire: Site['clients'] },
  prefix: string,
  count: number,
): Promise<void> => {
  const descriptors = await withFiles(wire, prefix, count)
  const piece = count > 8 ? 1 : 0
  const serial = await from.send(
    { ...FOR_TEST, destination: to.name, member: 'Take', unixFds: count, args: ['x'] },
    { descriptors, piece },
  )
  const { named } = await to.next('the call', each => each.named.member === 'Take')
  assert.equal(named.unixFds, count)
  assert.deepEqual(to.descriptors.splice(0), descriptors)
  assert.ok(serial > 0)
  await wire.peer.closeFiles(descriptors)
}

const misuse = async (
  site: Site,
  how: { declared: number; sent: number; handshake?: string },
  reason: string,
): Promise<void> => {
  const { declared, sent, handshake } = how
  const since = site.world.daemon.log().length
  const descriptors = await withFiles(site.clients, `misused${reason}`, sent)
  const client = await (await site.clients.begun(undefined, handshake)).hello()
  const unixFds = declared === 0 ? {} : { unixFds: declared }
  await client.send({ ...ECHO, args: ['hello'], ...unixFds }, { descriptors })
  await client.toEnd()
  await client.close()
  await site.clients.peer.closeFiles(descriptors)
  await eventually(`it logs ${reason}`, () =>
    audits(site, 'dbus-protocol-error', since).some(line => line['reason'] === reason),
  )
}

const both = (test: (ends: BusEnds) => Promise<void>) => (site: Site) => withEnds(site, test)

onOneBus(
  'messages of a dbus link',
  {
    ...Object.fromEntries(
      Object.entries(VIOLATIONS).map(([name, row]) => [`${name} closes the connection`, violation(row)]),
    ),

    'pass in both byte orders, whole and byte by byte': async ({ clients }) => {
      const client = await clients.client()
      for (const littleEndian of [true, false]) {
        for (const piece of [0, 1]) {
          const asked = { ...ECHO, littleEndian, args: ['one two three'] }
          assert.deepEqual(await client.outcome(asked, { piece }), ['one two three'])
        }
      }
      await client.close()
    },

    'pass with the handshake in one write, and all of it byte by byte': async ({ clients }) => {
      const greeting = message({
        fields: fields({ path: '/org/freedesktop/DBus', member: 'Hello', destination: BUS, interface: BUS }),
      })
      const call = message({
        serial: 2,
        fields: fields({ ...ECHO, signature: 's' }),
        body: bodyOf(true, ['at once']),
      })
      for (const piece of [0, 1]) {
        const client = await clients.connect()
        const first = Buffer.from('\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n')
        await client.put(Buffer.concat([first, greeting, call]), { piece })
        await client.hasBegun()
        assert.equal((await client.replyTo(1)).type, 2)
        assert.deepEqual(argumentsOf(await client.replyTo(2)), ['at once'])
        await client.close()
      }
    },

    'pass unchanged, with what nobody knows in them': both(async ({ client, party }) => {
      const unknown: Field = { code: 77, type: 'as', value: Buffer.alloc(4) }
      const sent = message({
        littleEndian: false,
        flags: 0x86,
        serial: 0xfffffff0,
        fields: [...fields({ ...FOR_TEST, destination: party.name, member: 'Odd' }), unknown],
      })
      await client.put(sent)
      const came = await party.next('the call', ({ named }) => named.member === 'Odd')
      assert.deepEqual(
        [came.littleEndian, came.flags & 0x06, came.serial, came.named.sender],
        [false, 0x06, 0xfffffff0, client.name],
      )
    }),

    'of an unknown type get the answer of the bus': async ({ clients }) => {
      const client = await clients.client()
      await client.put(
        message({ type: 9, serial: 50, fields: fields({ ...FOR_TEST, member: 'X', destination: BUS }) }),
      )
      assert.equal((await client.replyTo(50)).named.errorName, `${BUS}.Error.AccessDenied`)
      await client.close()
    },

    'with a path of 70 kB pass': both(async ({ client, party }) => {
      const path = `/${'a'.repeat(70_000)}`
      await client.put(signalled({ ...FOR_TEST, path, member: 'Far', destination: party.name }))
      const { named } = await party.next('the signal', each => each.named.member === 'Far')
      assert.equal(named.path, path)
    }),

    'bring 0, 1 and 16 descriptors, there and back': async site => {
      await withEnds(site, async ({ client, party }) => {
        for (const count of [0, 1, 16]) {
          const there = { from: client, to: party, wire: site.clients }
          await passed(there, `there${count}x`, count)
          await passed({ from: party, to: client, wire: site.parties }, `back${count}x`, count)
        }
      })
    },

    'bring the right descriptors when many come at once': async site => {
      await withEnds(site, async ({ client, party }) => {
        const names = await withFiles(site.clients, 'many', 8)
        for (const [index, name] of names.entries()) {
          await client.send(
            { ...FOR_TEST, destination: party.name, member: `Take${index}`, unixFds: 1 },
            { descriptors: [name] },
          )
          await client.send({ ...FOR_TEST, destination: party.name, member: 'Nothing' })
        }
        await party.next('the last', ({ named }) => named.member === 'Take7')
        assert.deepEqual(party.descriptors, names)
        await site.clients.peer.closeFiles(names)
      })
    },

    'with fewer descriptors than they say close the connection': site =>
      misuse(site, { declared: 2, sent: 1 }, 'descriptors-missing'),
    'with more descriptors than they say close the connection': site =>
      misuse(site, { declared: 1, sent: 2 }, 'descriptors-left-over'),
    'without descriptors to come close a connection that sends some': site =>
      misuse(site, { declared: 0, sent: 1 }, 'descriptors-left-over'),
    'with descriptors that nobody agreed on close the connection': site =>
      misuse(site, { declared: 1, sent: 1, handshake: WITHOUT_DESCRIPTORS }, 'descriptors-not-negotiated'),
  },
  { bus: { config: { text: permissiveAt('/run/dbus/system_bus_socket') } }, args: ['--dbus-policy', 'off'] },
)
