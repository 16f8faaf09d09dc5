/** What providers of `unix` links are told of who comes: by a greeting, with each message, and by the connection itself. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { ContainerOptions } from '../support/container.ts'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { type Meeting, type MeetingOptions, meeting } from '../support/identity.ts'
import { scenario, TARGET, type World } from '../support/scenario.ts'

const SHIFTED = '0 100000 65536'
const OTHER = '0 300000 65536'
const PASSWD = 'root:x:0:0::/:\ncamera:x:1001:44::/:\nbare:x:70000:70000::/:\n'
const GROUP = 'video:x:44:\naudio:x:29:camera\n'

const KINDS = ['stream', 'seqpacket'] as const

const withAccounts = async (world: World, options: MeetingOptions): Promise<Meeting> => {
  const met = await meeting(world, options)
  writeFileSync(met.svc.path('/etc/passwd'), PASSWD)
  writeFileSync(met.svc.path('/etc/group'), GROUP)
  return met
}

/** Connect as whoever it is, and have it accepted as `line`. */
const connect = async (
  { consumer, provider }: Meeting,
  uid = 0,
  gid = 0,
  kind: 'stream' | 'seqpacket' = 'stream',
): Promise<number> => {
  const accepted = provider.accept('door', 'line')
  const pid = await consumer.connectAs('line', TARGET, { uid, gid, stays: true }, kind)
  await accepted
  return pid
}

// ------------------------------------------------------------------ greeting

for (const kind of KINDS) {
  scenario(`a ${kind} provider reads one line about who comes before anything else`, async world => {
    const met = await meeting(world, { interface: 'unix+greeting', role: 'viewer', kind })
    const pid = await connect(met, 1000, 100, kind)
    // Before the consumer has said a word.
    const line = await met.provider.receiveMessage('line')
    assert.equal(
      line.text,
      `{"pvx":1,"consumer":"app","role":"viewer","service":"raw","pid":${pid},"uid":1000,"gid":100}\n`,
    )
    await met.consumer.send('line', 'hello')
    assert.equal((await met.provider.receiveMessage('line')).text, 'hello')
    await met.provider.send('line', 'good day')
    assert.equal((await met.consumer.receiveMessage('line')).text, 'good day')
  })
}

scenario('a greeting that a consumer writes itself comes after the one that is true', async world => {
  const met = await meeting(world, { interface: 'unix+greeting+stream', role: 'viewer', absent: true })
  const forged = '{"pvx":1,"consumer":"admin","role":"root","service":"raw","pid":1,"uid":0,"gid":0}\n'
  await met.consumer.connect('line', TARGET)
  // It lies there before the provider is.
  await met.consumer.send('line', forged)
  await met.provider.listen('door', '/run/svc/raw.sock')
  await met.provider.accept('door', 'line')
  const { pid, uid, gid } = await met.consumer.ownIds()
  const greeting = `{"pvx":1,"consumer":"app","role":"viewer","service":"raw","pid":${pid},"uid":${uid},"gid":${gid}}\n`
  const { text } = await met.provider.readExactly('line', greeting.length + forged.length)
  assert.equal(text, greeting + forged)
})

scenario('the greeting has ids as the consumer numbers them, whatever maps are between', async world => {
  const met = await meeting(world, {
    interface: 'unix+greeting',
    app: { user: SHIFTED },
    svc: { user: OTHER },
  })
  const pid = await connect(met, 1000, 100)
  const { text } = await met.provider.receiveMessage('line')
  assert.deepEqual(JSON.parse(text), {
    pvx: 1,
    consumer: 'app',
    role: 'any',
    service: 'raw',
    pid,
    uid: 1000,
    gid: 100,
  })
})

scenario(
  'of a process that is gone when its connection is taken the greeting has its user, and no number',
  async world => {
    const met = await meeting(world, { interface: 'unix+greeting+stream' })
    world.daemon.signal('SIGSTOP')
    await met.consumer.connectAs('line', TARGET, { uid: 1000, gid: 100 })
    world.daemon.signal('SIGCONT')
    await met.provider.accept('door', 'line')
    const { pid, uid, gid } = JSON.parse((await met.provider.receiveMessage('line')).text)
    assert.deepEqual([pid, uid, gid], [0, 1000, 100])
  },
)

// ------------------------------------------------------------------ creds

for (const kind of KINDS) {
  scenario(`a ${kind} provider is told with each message who wrote it`, async world => {
    const met = await meeting(world, { interface: `unix+creds+${kind}`, kind })
    await met.provider.askCredentials('door')
    await connect(met, 0, 0, kind)
    await met.consumer.send('line', 'by root')
    const first = await met.provider.receiveAttested('line')
    // The provider's pid namespace has no number for a process of another one.
    assert.deepEqual([first.text, first.writer], ['by root', { pid: 0, uid: 0, gid: 0 }])
    await met.consumer.sendAndLinger('line', 'by another', 1001, 44)
    const second = await met.provider.receiveAttested('line')
    assert.deepEqual([second.text, second.writer], ['by another', { pid: 0, uid: 1001, gid: 44 }])
    await met.provider.send('line', 'thanks')
    assert.equal((await met.consumer.receiveMessage('line')).text, 'thanks')
  })

  scenario(`a writer to a ${kind} provider that is gone at once is told all the same`, async world => {
    const met = await meeting(world, { interface: `unix+creds+${kind}`, kind })
    await met.provider.askCredentials('door')
    await connect(met, 0, 0, kind)
    for (let uid = 1; uid <= 20; uid += 1) await met.consumer.sendAs('line', `by ${uid}`, { uid, gid: uid })
    for (let uid = 1; uid <= 20; uid += 1) {
      const { text, writer } = await met.provider.receiveAttested('line')
      assert.deepEqual([text, writer?.uid, writer?.gid], [`by ${uid}`, uid, uid])
    }
  })

  scenario(`descriptors of a ${kind} link come with their writer, at their byte`, async world => {
    const met = await meeting(world, { interface: `unix+creds+${kind}`, kind })
    await met.provider.askCredentials('door')
    await connect(met, 0, 0, kind)
    const files = await met.consumer.makeMemfds('m', 3)
    await met.consumer.sendAs('line', 'plain', { uid: 5, gid: 5 })
    await met.consumer.sendAs('line', 'three', { uid: 5, gid: 5 }, ['m0', 'm1', 'm2'])
    await met.consumer.sendAs('line', 'none', { uid: 6, gid: 6 })
    const got = [
      await met.provider.receiveAttested('line'),
      await met.provider.receiveAttested('line'),
      await met.provider.receiveAttested('line'),
    ]
    assert.deepEqual(
      got.map(({ text, writer, descriptors }) => [text, writer?.uid, descriptors.length]),
      [
        ['plain', 5, 0],
        ['three', 5, 3],
        ['none', 6, 0],
      ],
    )
    assert.deepEqual(got[1]?.descriptors, files)
  })

  scenario(`a ${kind} provider in namespaces of its own is told ids that it knows`, async world => {
    const met = await meeting(world, {
      interface: `unix+creds+${kind}`,
      kind,
      app: { user: OTHER },
      svc: { user: '0 300000 70000' },
    })
    await met.provider.askCredentials('door')
    await connect(met, 0, 0, kind)
    await met.consumer.sendAs('line', 'hello', { uid: 1001, gid: 44 })
    const { writer } = await met.provider.receiveAttested('line')
    assert.deepEqual(writer, { pid: 0, uid: 1001, gid: 44 })
  })
}

scenario('a child of the process that connected is told as itself', async world => {
  const met = await meeting(world, { interface: 'unix+creds+greeting' })
  await met.provider.askCredentials('door')
  const parent = await connect(met, 7, 7)
  const greeting = await met.provider.receiveAttested('line')
  assert.equal(JSON.parse(greeting.text).pid, parent)
  assert.deepEqual([greeting.writer?.uid, greeting.writer?.gid], [7, 7])
  await met.consumer.sendAs('line', 'hello', { uid: 8, gid: 8 })
  const { text, writer } = await met.provider.receiveAttested('line')
  assert.deepEqual([text, writer?.uid], ['hello', 8])
})

scenario('packets of any size, and empty ones, come whole with their writers', async world => {
  const met = await meeting(world, { interface: 'unix+creds+seqpacket', kind: 'seqpacket' })
  await met.provider.askCredentials('door')
  const accepted = met.provider.accept('door', 'line')
  await met.consumer.connect('line', TARGET, { kind: 'seqpacket', sendBuffer: 4_000_000 })
  await accepted
  for (const size of [900_000, 0, 300_000]) await met.consumer.send('line', 'x', { size })
  for (const size of [900_000, 0, 300_000]) {
    const { bytes, writer, cut, end } = await met.provider.receiveAttested('line', 1_000_000)
    assert.deepEqual([bytes, writer?.uid, cut, end], [size, 0, false, false])
  }
})

scenario('what waits for a slow reader keeps its writers, and blocks who writes on', async world => {
  const met = await meeting(world, { interface: 'unix+creds' })
  await met.provider.askCredentials('door')
  await connect(met)
  const filled = await met.consumer.fill('line', 300)
  assert.ok(filled > 100_000 && filled < 5_000_000, `${filled}`)
  const { bytes } = await met.provider.take('line', filled)
  assert.equal(bytes, filled)
  await met.consumer.sendAs('line', 'last', { uid: 9, gid: 9 })
  const { text, writer } = await met.provider.receiveAttested('line')
  assert.deepEqual([text, writer?.uid], ['last', 9])
})

scenario('a megabyte of messages keeps its writers and its order', async world => {
  const met = await meeting(world, { interface: 'unix+creds' })
  await met.provider.askCredentials('door')
  await connect(met)
  const poured = met.consumer.pour('line', 1_000_000)
  const { sha256 } = await met.provider.take('line', 1_000_000)
  assert.equal(sha256, (await poured).sha256)
  await met.consumer.shutdown('line', 'write')
  await met.provider.send('line', 'last words')
  assert.equal((await met.consumer.receiveMessage('line')).text, 'last words')
})

// ------------------------------------------------------------------ role-creds

/** A role, and whom the provider is told. */
const ROLES: readonly (readonly [role: string, uid: number, gid: number])[] = [
  ['camera', 1001, 44],
  ['1001', 1001, 44],
  ['2002', 2002, 65_534],
  ['unknown', 65_534, 65_534],
  ['any', 65_534, 65_534],
]

for (const [where, svc] of [
  ['', {}],
  [' with ids of its own', { user: SHIFTED }],
] as const satisfies readonly (readonly [string, ContainerOptions])[]) {
  for (const [role, uid, gid] of ROLES) {
    scenario(`a provider${where} is told the role ${role} with each message`, async world => {
      const met = await withAccounts(world, { interface: 'unix+role-creds', role, svc })
      await met.provider.askCredentials('door')
      await connect(met, 5, 6)
      await met.consumer.sendAs('line', 'hello', { uid: 7, gid: 8 })
      const { text, writer } = await met.provider.receiveAttested('line')
      assert.deepEqual([text, writer], ['hello', { pid: 0, uid, gid }])
    })

    scenario(`a provider${where} sees the role ${role} connect`, async world => {
      const met = await withAccounts(world, { interface: 'unix+role-peercred', role, svc })
      await connect(met, 5, 6)
      const groups = gid === 44 ? [29, 44] : []
      const seen = await met.provider.peerOf('line')
      assert.deepEqual({ ...seen, groups: [...seen.groups].sort() }, { pid: 0, uid, gid, groups })
      await met.consumer.send('line', 'hello')
      assert.equal((await met.provider.receiveMessage('line')).text, 'hello')
    })
  }
}

for (const interfaces of ['unix+role-creds', 'unix+role-peercred']) {
  scenario(`with ${interfaces}, a role whose ids the provider does not have is turned away`, async world => {
    const met = await withAccounts(world, { interface: interfaces, role: 'bare', svc: { user: SHIFTED } })
    await met.consumer.connect('line', TARGET)
    assert.equal((await met.consumer.read('line')).end, true)
    await world.daemon.logged('why', line => asText(line).includes('uid 70000 does not exist'))
  })
}

scenario('a role is looked up anew for each connection', async world => {
  const met = await withAccounts(world, { interface: 'unix+role-peercred', role: 'camera' })
  await connect(met)
  assert.equal((await met.provider.peerOf('line')).uid, 1001)
  writeFileSync(met.svc.path('/etc/passwd'), 'camera:x:1002:45::/:\n')
  await connect(met)
  const { uid, gid } = await met.provider.peerOf('line')
  assert.deepEqual([uid, gid], [1002, 45])
})

scenario('a provider without accounts, or with a FIFO in their place, is shown nobody', async world => {
  const met = await meeting(world, { interface: 'unix+role-peercred', role: 'camera' })
  for (const spoil of ['rm /etc/passwd', 'mkfifo /etc/passwd', 'rm /etc/passwd; mkdir /etc/passwd']) {
    await met.svc.exec('sh', '-c', spoil)
    await connect(met)
    const { uid, gid } = await met.provider.peerOf('line')
    assert.deepEqual([uid, gid], [65_534, 65_534], spoil)
  }
})

// ------------------------------------------------------------------ peercred

for (const kind of KINDS) {
  scenario(`a ${kind} provider sees the consumer's process connect`, async world => {
    const met = await meeting(world, { interface: `unix+peercred+${kind}`, kind })
    await connect(met, 1001, 44, kind)
    assert.deepEqual(await met.provider.peerOf('line'), { pid: 0, uid: 1001, gid: 44, groups: [] })
    await met.consumer.send('line', 'hello')
    assert.equal((await met.provider.receiveMessage('line')).text, 'hello')
  })
}

scenario("the provider's file mode holds for the consumer's process", async world => {
  const met = await meeting(world, { interface: 'unix+peercred' })
  await met.svc.exec('chmod', '600', '/run/svc/raw.sock')
  await met.consumer.connectAs('line', TARGET, { uid: 1001, gid: 44 })
  assert.equal((await met.consumer.read('line')).end, true)
  await world.daemon.logged('why', line => asText(line).includes('EACCES'))
  await connect(met)
  assert.equal((await met.provider.peerOf('line')).uid, 0)
})

scenario("a consumer's user that the provider does not have is turned away", async world => {
  const met = await meeting(world, { interface: 'unix+peercred', svc: { user: SHIFTED } })
  await met.consumer.connectAs('line', TARGET, { uid: 1001, gid: 44 })
  assert.equal((await met.consumer.read('line')).end, true)
  await world.daemon.logged('why', line => asText(line).includes('1001:44 does not exist'))
})

scenario('an abstract name shows the role too, in a network of its own', async world => {
  const name = `@pvx-identity-${process.pid}`
  const met = await withAccounts(world, {
    interface: 'unix+role-peercred+stream',
    role: 'camera',
    socket: name,
    svc: { network: 'own', user: SHIFTED },
  })
  await connect(met)
  const { uid, gid } = await met.provider.peerOf('line')
  assert.deepEqual([uid, gid], [1001, 44])
})

scenario('all that can be asked for at once is given at once', async world => {
  const met = await withAccounts(world, { interface: 'unix+greeting+creds+role-peercred', role: 'camera' })
  await met.provider.askCredentials('door')
  await connect(met, 7, 7)
  assert.equal((await met.provider.peerOf('line')).uid, 1001)
  assert.equal((await met.provider.receiveAttested('line')).writer?.uid, 7)
  await met.consumer.sendAs('line', 'hello', { uid: 9, gid: 9 })
  assert.equal((await met.provider.receiveAttested('line')).writer?.uid, 9)
})

/** Who each thread of the daemon is. */
const threadsOf = (daemon: number): readonly string[] =>
  readdirSync(`/proc/${daemon}/task`).map(task =>
    readFileSync(`/proc/${daemon}/task/${task}/status`, 'utf8')
      .split('\n')
      .filter(line => /^(Uid|Gid|Groups):/.test(line))
      .join(),
  )

scenario('a thousand dials as others, and failed ones, leave the daemon who it is', async world => {
  const met = await withAccounts(world, {
    interface: 'unix+role-peercred',
    role: 'camera',
    svc: { user: SHIFTED },
  })
  const before = new Set(threadsOf(world.daemon.pid))
  assert.equal(before.size, 1)
  await met.provider.serve('door', 'echo')
  for (let round = 0; round < 10; round += 1) {
    await met.consumer.connectMany(`c${round}-`, TARGET, 100)
    const { good } = await met.consumer.echoMany(`c${round}-`, 100, 20_000)
    assert.equal(good, 100)
    await met.consumer.closeMany(`c${round}-`)
  }
  writeFileSync(met.svc.path('/etc/passwd'), 'camera:x:70000:44::/:\n')
  await met.consumer.connectMany('f', TARGET, 100)
  await eventually('all are turned away', async () => (await met.consumer.closedMany('f')) === 100)
  assert.deepEqual(new Set(threadsOf(world.daemon.pid)), before)
})

// ------------------------------------------------------------------ nofds

for (const kind of KINDS) {
  for (const creds of ['', '+creds']) {
    scenario(
      `who sends descriptors over a ${kind} link without any (nofds${creds}) is cut off`,
      async world => {
        const met = await meeting(world, { interface: `unix+nofds+${kind}${creds}`, kind })
        await connect(met, 0, 0, kind)
        await met.consumer.send('line', 'hello')
        assert.equal((await met.provider.receiveMessage('line')).text, 'hello')
        await met.consumer.makePipe('reader', 'writer')
        await met.consumer.send('line', 'with a file', { descriptors: ['writer'] })
        const { descriptors, end } = await met.provider.receiveMessage('line')
        assert.deepEqual([descriptors, end], [[], true])
        await world.daemon.logged('why', line =>
          asText(line).includes('descriptors came where none may pass'),
        )
        // Nobody holds on to what was sent.
        await met.consumer.closeFiles(['writer'])
        assert.equal(await met.consumer.readFile('reader'), '')
      },
    )
  }
}
