/**
 * What effects answer with, as shapes alone: what fp-ts makes fits them, and so does any value of the same form.
 * The contracts are written in these, so that whoever writes a plugin needs neither fp-ts nor its types.
 */
export type Either<E, A> =
  | { readonly _tag: 'Left'; readonly left: E }
  | { readonly _tag: 'Right'; readonly right: A }

/** Work that begins when it is called, and never rejects. */
export type Task<A> = () => Promise<A>

/** Work that may fail as expected: with a `Left`. */
export type TaskEither<E, A> = Task<Either<E, A>>
