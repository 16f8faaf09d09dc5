/** A program of the tests': tells, as JSON, what becomes of acting as each of some users with the rights that it was given. */
import { E } from '../../src/fp.ts'
import { actingAs } from '../../src/kernel/credentials.ts'

const outcomes = process.argv.slice(2).map(argument => {
  const [uid = 0, gid = 0, ...supplementary] = argument.split(':').map(Number)
  const acted = actingAs({ uid, gid, supplementary }, argument, () => process.geteuid?.())
  return E.isRight(acted) ? acted.right : `${acted.left.call} ${acted.left.errno}`
})
console.log(JSON.stringify(outcomes))
