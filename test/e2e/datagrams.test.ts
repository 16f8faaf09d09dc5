/** Datagram links: what a log, or a service that answers, makes of several clients behind one planted socket. */
import assert from 'node:assert/strict'
import { unlinkSync, writeFileSync } from 'node:fs'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { type Meeting, meeting } from '../support/identity.ts'
import { hasTool } from '../support/requirements.ts'
import { exists, inodeOf, SOCKET, scenario, TARGET } from '../support/scenario.ts'

const DGRAM = { interface: 'unix', kind: 'dgram' } as const

/** What the provider hears next. */
const hears = async ({ provider }: Meeting): Promise<string> => (await provider.receiveAttested('door')).text

scenario('a provider of datagrams is found to be one, and hears each as it was sent', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client')
  for (const text of ['one', '', 'three']) await met.consumer.sendTo('client', TARGET, text)
  await met.consumer.sendTo('client', TARGET, 'x', { size: 100_000 })
  for (const text of ['one', '', 'three']) assert.equal(await hears(met), text)
  const { bytes, named } = await met.provider.receiveAttested('door', 200_000)
  // A client that nobody can answer has no name at the provider either.
  assert.deepEqual([bytes, named], [100_000, false])
})

scenario('a connected client is heard as well', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client')
  await met.consumer.connectDatagram('client', TARGET)
  await met.consumer.send('client', 'hello')
  assert.equal(await hears(met), 'hello')
})

/** Names that a client can have for itself. */
const NAMES: readonly (readonly [string, string, boolean])[] = [
  ['an abstract name', `@pvx-client-${process.pid}`, false],
  ['a path', '/tmp/client.sock', false],
  ['a path behind a symlink', '/tmp/link/client.sock', false],
]

for (const [what, name] of NAMES) {
  for (const connected of [false, true]) {
    const how = connected ? 'connected' : 'unconnected'
    scenario(`an answer reaches the ${how} client with ${what} that it is for`, async world => {
      const met = await meeting(world, {
        ...DGRAM,
        app: { network: 'own', user: '0 100000 65536' },
        svc: { network: 'own' },
      })
      await met.app.exec('sh', '-c', 'mkdir /tmp/real; ln -s /tmp/real /tmp/link')
      const ask = async (client: string, path: string): Promise<void> => {
        await met.consumer.openDatagram(client, path)
        if (connected) await met.consumer.connectDatagram(client, TARGET)
        if (connected) await met.consumer.send(client, `from ${client}`)
        else await met.consumer.sendTo(client, TARGET, `from ${client}`)
      }
      await ask('first', name)
      assert.equal(await hears(met), 'from first')
      await met.provider.answer('door', 'to first')
      await ask('second', `${name}-2`)
      assert.equal(await hears(met), 'from second')
      await met.provider.answer('door', 'to second')
      assert.equal((await met.consumer.receiveAttested('first')).text, 'to first')
      assert.equal((await met.consumer.receiveAttested('second')).text, 'to second')
      assert.ok(await met.consumer.isQuiet('first', 50))
    })
  }
}

scenario('a client whose name leads nowhere is heard, and costs nobody else their answers', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('relative', '/tmp/relative.sock', true)
  await met.consumer.openDatagram('removed', '/tmp/removed.sock')
  await met.consumer.openDatagram('swapped', '/tmp/swapped.sock')
  await met.consumer.openDatagram('fine', '/tmp/fine.sock')
  unlinkSync(met.app.path('/tmp/removed.sock'))
  unlinkSync(met.app.path('/tmp/swapped.sock'))
  writeFileSync(met.app.path('/tmp/swapped.sock'), 'no socket')
  for (const client of ['relative', 'removed', 'swapped', 'fine']) {
    await met.consumer.sendTo(client, TARGET, client)
    assert.equal(await hears(met), client)
    await met.provider.answer('door', `to ${client}`)
  }
  assert.equal((await met.consumer.receiveAttested('fine')).text, 'to fine')
})

scenario('a client cannot have an answer sent elsewhere by a link of /proc', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client', '/tmp/client.sock')
  await met.app.exec('sh', '-c', `rm /tmp/client.sock; ln -s /proc/1/root/tmp/x /tmp/client.sock`)
  await met.consumer.sendTo('client', TARGET, 'hello')
  assert.equal(await hears(met), 'hello')
  await met.provider.answer('door', 'to nobody')
  assert.ok(await met.consumer.isQuiet('client', 50))
})

scenario('descriptors pass with their datagrams, both ways', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client', '/tmp/client.sock')
  const sent = await met.consumer.makeMemfds('m', 2)
  await met.consumer.sendTo('client', TARGET, 'two files', { descriptors: ['m0', 'm1'] })
  const asked = await met.provider.receiveAttested('door')
  assert.deepEqual([asked.text, asked.descriptors], ['two files', sent])
  const back = await met.provider.makeMemfds('n', 1)
  await met.provider.answer('door', 'one back', ['n0'])
  const answered = await met.consumer.receiveAttested('client')
  assert.deepEqual([answered.text, answered.descriptors], ['one back', back])
})

scenario('a datagram with descriptors is dropped where none may pass', async world => {
  const met = await meeting(world, { ...DGRAM, interface: 'unix+nofds' })
  await met.consumer.openDatagram('client')
  await met.consumer.makeMemfds('m', 1)
  await met.consumer.sendTo('client', TARGET, 'with', { descriptors: ['m0'] })
  await met.consumer.sendTo('client', TARGET, 'without')
  assert.equal(await hears(met), 'without')
  await world.daemon.logged('why', line => asText(line).includes('it brought descriptors'))
})

scenario('who wrote a datagram is told where the link wants that', async world => {
  const met = await meeting(world, { ...DGRAM, interface: 'unix+creds' })
  await met.provider.askCredentials('door')
  await met.consumer.openDatagram('client')
  await met.consumer.connectDatagram('client', TARGET)
  for (let uid = 1; uid <= 5; uid += 1) await met.consumer.sendAs('client', `by ${uid}`, { uid, gid: uid })
  for (let uid = 1; uid <= 5; uid += 1) {
    const { text, writer } = await met.provider.receiveAttested('door')
    assert.deepEqual([text, writer?.uid, writer?.gid], [`by ${uid}`, uid, uid])
  }
})

scenario('the role stands for the writer of a datagram where the link wants that', async world => {
  const met = await meeting(world, {
    ...DGRAM,
    interface: 'unix+dgram+role-creds',
    role: 'camera',
    svc: { user: '0 300000 65536' },
    absent: true,
  })
  writeFileSync(met.svc.path('/etc/passwd'), 'camera:x:1001:44::/:\n')
  await met.provider.listen('door', SOCKET, { kind: 'dgram' })
  await met.provider.askCredentials('door')
  await met.consumer.openDatagram('client')
  await met.consumer.sendTo('client', TARGET, 'hello')
  assert.deepEqual((await met.provider.receiveAttested('door')).writer, { pid: 0, uid: 1001, gid: 44 })
})

scenario(
  'logger(1) reaches a log of another container',
  async world => {
    const met = await meeting(world, { ...DGRAM, target: '/dev/log', socket: '/run/log/dev' })
    await met.app.exec('logger', '--socket-errors=on', '-u', '/dev/log', '-t', 'camera', 'shutter stuck')
    assert.match(await hears(met), /camera: shutter stuck$/)
  },
  { needs: t => hasTool(t, 'logger', 'bsdutils') },
)

scenario('a provider without room makes its clients wait, and loses nothing', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client')
  const sent = await met.consumer.tryToSend('client', TARGET, 'n', 200)
  // Its queue, one that is held, and the planted socket's queue are all there is.
  assert.ok(sent > 10 && sent < 200, `${sent}`)
  for (let i = 0; i < sent; i += 1) assert.equal(await hears(met), `n${i}`)
  await met.consumer.sendTo('client', TARGET, 'after')
  assert.equal(await hears(met), 'after')
})

scenario('a client without room for its answers gets them when it reads', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client', '/tmp/client.sock')
  await met.consumer.sendTo('client', TARGET, 'ask')
  assert.equal(await hears(met), 'ask')
  for (let i = 0; i < 20; i += 1) await met.provider.answer('door', `answer ${i}`)
  // Somebody else is served meanwhile.
  await met.consumer.openDatagram('other', '/tmp/other.sock')
  await met.consumer.sendTo('other', TARGET, 'me too')
  assert.equal(await hears(met), 'me too')
  for (let i = 0; i < 20; i += 1)
    assert.equal((await met.consumer.receiveAttested('client')).text, `answer ${i}`)
})

scenario('what is sent while the provider is away waits for it', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client')
  await met.consumer.sendTo('client', TARGET, 'before')
  assert.equal(await hears(met), 'before')
  await met.provider.close('door')
  for (const text of ['one', 'two']) await met.consumer.sendTo('client', TARGET, text)
  await met.provider.listen('door', SOCKET, { kind: 'dgram', replace: true })
  for (const text of ['one', 'two']) assert.equal(await hears(met), text)
})

scenario(
  'what is sent to a provider that does not come back is dropped, and the log says so',
  async world => {
    const met = await meeting(world, DGRAM)
    await met.provider.close('door')
    await met.consumer.openDatagram('client')
    await met.consumer.sendTo('client', TARGET, 'lost')
    await world.daemon.logged('why', line => asText(line).includes('a datagram is dropped'))
    await met.provider.listen('door', SOCKET, { kind: 'dgram', replace: true })
    await met.consumer.sendTo('client', TARGET, 'kept')
    assert.equal(await hears(met), 'kept')
  },
  { args: ['--connect-timeout', '300'] },
)

scenario('a provider that comes back with a socket of another type is followed', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client')
  await met.consumer.sendTo('client', TARGET, 'datagram')
  assert.equal(await hears(met), 'datagram')
  const planted = inodeOf(met.app.path(TARGET))
  await met.provider.close('door')
  await met.provider.listen('door', SOCKET, { kind: 'stream', replace: true })
  await met.provider.serve('door', 'echo')
  // A client of the old kind is what shows the change.
  await met.consumer.sendTo('client', TARGET, 'dropped')
  await eventually('it is planted anew', () => inodeOf(met.app.path(TARGET)) !== planted)
  await met.consumer.connect('line', TARGET)
  await met.consumer.send('line', 'stream')
  assert.equal((await met.consumer.readExactly('line', 6)).text, 'stream')
})

scenario('a link that needs connections waits where its provider has datagrams', async world => {
  const met = await meeting(world, { interface: 'unix+greeting', absent: true })
  await met.provider.listen('door', SOCKET, { kind: 'dgram' })
  world.daemon.signal('SIGHUP')
  await world.daemon.reaches(met.link, 'pending.blocked')
  assert.ok(!exists(met.app.path(TARGET)))
})

scenario(
  'of more clients than may be, the one that was quiet longest makes room',
  async world => {
    const met = await meeting(world, DGRAM)
    for (let i = 0; i < 5; i += 1) {
      await met.consumer.openDatagram(`c${i}`, `/tmp/c${i}.sock`)
      await met.consumer.sendTo(`c${i}`, TARGET, `c${i}`)
      assert.equal(await hears(met), `c${i}`)
      await met.provider.answer('door', `to c${i}`)
      assert.equal((await met.consumer.receiveAttested(`c${i}`)).text, `to c${i}`)
    }
    // The first one has no socket at the provider any more: the next word from it gets it a new one.
    await met.consumer.sendTo('c0', TARGET, 'again')
    assert.equal(await hears(met), 'again')
    await met.provider.answer('door', 'to c0')
    assert.equal((await met.consumer.receiveAttested('c0')).text, 'to c0')
  },
  { args: ['--max-datagram-clients', '3'] },
)

scenario(
  'a client that is quiet for long costs nothing, and is heard again',
  async world => {
    const met = await meeting(world, DGRAM)
    const before = world.daemon.descriptors().length
    await met.consumer.openDatagram('client', '/tmp/client.sock')
    await met.consumer.sendTo('client', TARGET, 'hello')
    assert.equal(await hears(met), 'hello')
    await eventually('its socket is closed', () => world.daemon.descriptors().length <= before)
    await met.consumer.sendTo('client', TARGET, 'again')
    assert.equal(await hears(met), 'again')
  },
  { args: ['--datagram-idle', '100'] },
)

scenario('an abstract name works for datagrams in networks of their own', async world => {
  const name = `@pvx-log-${process.pid}`
  const met = await meeting(world, {
    ...DGRAM,
    socket: name,
    target: name,
    app: { network: 'own' },
    svc: { network: 'own' },
  })
  await met.consumer.openDatagram('client', '@me')
  await met.consumer.sendTo('client', name, 'hello')
  assert.equal(await hears(met), 'hello')
  await met.provider.answer('door', 'to you')
  assert.equal((await met.consumer.receiveAttested('client')).text, 'to you')
})

scenario('a provider that moved gets what comes from then on', async world => {
  const met = await meeting(world, DGRAM)
  await met.consumer.openDatagram('client')
  await met.consumer.sendTo('client', TARGET, 'to the old one')
  assert.equal(await hears(met), 'to the old one')
  await met.provider.listen('new', '/run/svc/new.sock', { kind: 'dgram' })
  world.ctrl.serve([{ ...met.entry, socket: '/run/svc/new.sock' }])
  world.daemon.signal('SIGHUP')
  await eventually('it gets one', async () => {
    await met.consumer.sendTo('client', TARGET, 'ping')
    return !(await met.provider.isQuiet('new', 20))
  })
})
