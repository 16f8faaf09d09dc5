/**
 * The only door to fp-ts: what is not exported here is not part of our dialect.
 * The `lib/*.js` paths are deliberate: `fp-ts/TaskEither` type-checks under native ES modules and fails to load.
 */
export * as E from 'fp-ts/lib/Either.js'
export { pipe } from 'fp-ts/lib/function.js'
export * as T from 'fp-ts/lib/Task.js'
export * as TE from 'fp-ts/lib/TaskEither.js'
