import assert from 'node:assert/strict'
import { test } from 'node:test'
import { haproxyConfiguration } from './haproxy.ts'

test('HAProxy is told to do what a rest link does, in one thread', () => {
  const lines = haproxyConfiguration({ listenOn: '/run/a.sock', provider: '/run/b.sock', bufferBytes: 16384 })
    .split('\n')
    .map(line => line.trim())
  for (const wanted of [
    'nbthread 1',
    'mode http',
    'http-reuse never',
    'tune.bufsize 16384',
    'bind unix@/run/a.sock',
    'http-request del-header x-pv- -m beg',
    'http-request set-header X-PV-Client host',
    'http-request set-header X-PV-Role any',
    'server provider unix@/run/b.sock',
  ]) {
    assert.ok(lines.includes(wanted), wanted)
  }
})
