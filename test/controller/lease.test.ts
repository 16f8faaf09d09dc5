import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLease } from '../../src/controller/lease.ts'
import { E } from '../../src/fp.ts'
import { keyOf } from '../../src/model/link.ts'
import type { SocketRequest } from '../../src/toolbox/contract.ts'
import { aLink } from '../support/builders.ts'
import { addressOf, fakeWorld, settled } from '../support/fakes.ts'

const link = aLink('app').build()
const other = aLink('app').at('/run/pv/other.sock').build()

const requestFor = ({ target }: typeof link): SocketRequest => ({
  kind: 'stream',
  target,
  provider: addressOf(link),
  descriptors: 'exact',
})

describe('a lease', () => {
  it('withdraws in the end what the plugin left planted, and says nothing where it left nothing', async () => {
    const world = fakeWorld()
    const lease = createLease(world.host)
    const box = lease.toolboxFor(link)
    await box.injectSocket(requestFor(link))()
    await lease.toolboxFor(other).injectSocket(requestFor(other))()
    assert.equal(world.planted.size, 2)
    await lease.end()
    assert.equal(world.planted.size, 0)
    assert.equal(world.withdrawals, 2)
    await lease.end()
    assert.equal(world.withdrawals, 2)
  })

  it('does not withdraw twice what the plugin withdrew itself', async () => {
    const world = fakeWorld()
    const lease = createLease(world.host)
    const box = lease.toolboxFor(link)
    const mediation = await box.injectSocket(requestFor(link))()
    assert.ok(E.isRight(mediation))
    assert.ok(lease.planted(mediation.right.id) !== undefined)
    await box.withdraw(mediation.right)()
    assert.equal(lease.planted(mediation.right.id), undefined)
    await lease.end()
    assert.equal(world.withdrawals, 1)
  })

  it('holds device nodes as it holds sockets', async () => {
    const world = fakeWorld()
    const lease = createLease(world.host)
    const request = { target: link.target, provider: addressOf(link), judge: () => E.right(undefined) }
    const mediation = await lease.toolboxFor(link).injectNode(request)()
    assert.ok(E.isRight(mediation))
    assert.ok(lease.planted(mediation.right.id) !== undefined)
    await lease.end()
    assert.equal(world.planted.size, 0)
    const late = await lease.toolboxFor(link).injectNode(request)()
    assert.equal(E.isLeft(late) && late.left._tag, 'PluginFailed')
  })

  it('gives back in the end what else the plugin took, and what was given back already only once', async () => {
    const world = fakeWorld()
    const lease = createLease(world.host)
    const box = lease.toolboxFor(link)
    const closed: string[] = []
    const kept = box.shared('kept', () => ({ close: () => closed.push('kept') }))
    const given = box.shared('given', () => ({ close: () => closed.push('given') }))
    given.release()
    assert.deepEqual(closed, ['given'])
    await lease.end()
    assert.deepEqual(closed, ['given', 'kept'])
    kept.release()
    assert.deepEqual(closed, ['given', 'kept'])
    box.shared('late', () => ({ close: () => closed.push('late') }))
    assert.deepEqual(closed, ['given', 'kept', 'late'], 'nobody would ever give it back')
  })

  it('plants nothing any more when it is over', async () => {
    const world = fakeWorld()
    const lease = createLease(world.host)
    const box = lease.toolboxFor(link)
    const planting = box.injectSocket(requestFor(link))
    await lease.end()
    for (const late of [planting, lease.toolboxFor(link).injectSocket(requestFor(link))]) {
      const result = await late()
      assert.equal(E.isLeft(result) && result.left._tag, 'PluginFailed')
    }
    assert.equal(world.injections, 0)
  })

  it('withdraws what was still being planted when it ended', async () => {
    const world = fakeWorld()
    const release = world.holdInjection(keyOf(link))
    const lease = createLease(world.host)
    const planting = lease.toolboxFor(link).injectSocket(requestFor(link))()
    await settled()
    await lease.end()
    release()
    assert.ok(E.isLeft(await planting))
    assert.equal(world.planted.size, 0)
    assert.equal(world.withdrawals, 1)
  })
})
