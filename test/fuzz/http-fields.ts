/** Lines of a request's head: those that everybody sends, those that claim an identity, those for one hop, and tricks. */
import * as fc from 'fast-check'
import { oneOf, pick } from './words.ts'

export const host = oneOf(
  [20, pick('Host: x\r\n')],
  [2, pick('host:x\r\n', 'HOST: \t x \r\n', 'Host: x:80\r\n', 'Host: [::1]\r\n', 'Host:\r\n')],
  [
    1,
    pick(
      '',
      'Host: x\r\nHost: x\r\n',
      'Host: x\r\nhost: y\r\n',
      'Host: x, y\r\n',
      'Host : x\r\n',
      'Host: u@x\r\n',
    ),
  ],
)

export const PLAIN = pick(
  'Accept: */*',
  'A: 1',
  'A:',
  'a: \t2 ',
  'Cookie: a=1; b=2',
  'User-Agent: curl/8',
  'X-PVC: 1',
  'X-Tmp: 1',
  'B: \x80\xff',
  'C: a\tb',
  'Referer: http://y/?Host:z',
  'Expect: 100-continue',
  'Trailer: X-Sum',
  'D: 5,5',
)

export const CLAIMS = pick(
  'X-PV-Client: root',
  'x-pv-role: admin',
  'X_PV_Role: admin',
  'X.PV.Client: root',
  'x~pv~role:admin',
  'X-PV-: 1',
)

// `close` in Proxy-Connection, which no RFC knows, ends the connection for Node. We drop that field.
const HOPS = pick(
  'Connection: keep-alive',
  'Connection: close',
  'Connection: X-PV-Client',
  'Connection: x-tmp, A',
  'Keep-Alive: 5',
  'Connection: TE',
  'TE: trailers',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Upgrade: h2c, x',
  'Connection:',
  'Proxy-Connection: x',
  'HTTP2-Settings: AA',
  'Connection: upgrade, close',
  'connection: ,a,,',
)

const TRICKS = pick(
  'X-PV-Role : admin',
  ' X-PV-Role: admin',
  '\tA: 1',
  'A 1',
  ': 1',
  'A\0: 1',
  'A: \0',
  'A: 1\rX-PV-Role: admin',
  'A: \x7f',
  'A: 1\nX-PV-Role: admin',
  'A: 1\r\n\tB',
  'Content_Length: 3',
  'Transfer_Encoding: chunked',
  'Connection: host',
  'Connection: transfer-encoding',
  'Connection: a b',
  'Expect: jam',
  'X-PV\xa0Role: admin',
  'Content-Length: 3',
  'Transfer-Encoding: chunked',
  'A: 1\r',
  '\x0bA: 1',
  'A: \x0b',
  '',
  'Content-Length : 3',
  'Transfer-Encoding\t: chunked',
)

export const fields = fc
  .array(oneOf([10, PLAIN], [4, CLAIMS], [4, HOPS], [1, TRICKS]), { maxLength: 5 })
  .map(lines => lines.map(line => `${line}\r\n`).join(''))
