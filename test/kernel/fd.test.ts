/** Descriptors have one owner, and the budget follows what is opened and closed. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { freeDescriptors } from '../../src/kernel/fd.ts'
import { openDirectory } from '../../src/kernel/files.ts'
import { leavesNoDescriptors, must, openDescriptors } from '../support/descriptors.ts'

leavesNoDescriptors()

test('closing closes the descriptor', () => {
  const fd = must(openDirectory('/'))
  const path = `/proc/self/fd/${fd.borrowed}`
  assert.ok(existsSync(path))
  fd.close()
  assert.ok(!existsSync(path))
  assert.ok(fd.closed)
})

test('closing twice leaves the next owner of the number alone', () => {
  const first = must(openDirectory('/'))
  const number = first.borrowed
  first.close()
  const second = must(openDirectory('/'))
  assert.equal(second.borrowed, number, 'the kernel hands out the lowest number')
  first.close()
  assert.ok(existsSync(`/proc/self/fd/${second.borrowed}`))
  second.close()
})

test('using a closed descriptor is a bug that is told', () => {
  const fd = must(openDirectory('/'))
  fd.close()
  assert.throws(() => fd.borrowed, /closed descriptor/)
})

test('the free descriptors go down with each one opened and up again with each one closed', () => {
  const before = freeDescriptors(1)
  const held = Array.from({ length: 20 }, () => must(openDirectory('/')))
  assert.equal(freeDescriptors(1), before - 20)
  for (const fd of held) fd.close()
  assert.equal(freeDescriptors(1), before)
})

test('where it gets tight the descriptors are counted, those of others too', () => {
  const limit = freeDescriptors(Number.MAX_SAFE_INTEGER) + openDescriptors()
  const held = Array.from({ length: 5 }, () => must(openDirectory('/')))
  assert.equal(freeDescriptors(Number.MAX_SAFE_INTEGER), limit - openDescriptors())
  for (const fd of held) fd.close()
})
