// Typed<T> is true if no part of T is `unknown` or `any`. An object with named fields may have further ones of any type.

type IsOpen<T> = 0 extends 1 & T ? true : unknown extends T ? true : false;

type Named<T> = { [K in keyof T as string extends K ? never : number extends K ? never : K]: T[K] };

// An object without named fields: a dictionary, whose values count, or an object of which nothing is known.
type UntypedDictionary<T, Depth extends 0[]> = T extends { [key: string]: infer Value }
  ? [Value] extends [never] ? true : Untyped<Value, Depth>
  : true;

type Untyped<T, Depth extends 0[] = []> =
  IsOpen<T> extends true ? true
  : Depth["length"] extends 16 ? true
  : T extends string | number | boolean | null | undefined ? false
  : T extends readonly (infer Item)[] ? Untyped<Item, [...Depth, 0]>
  : [keyof Named<T>] extends [never] ? UntypedDictionary<T, [...Depth, 0]>
  : { [K in keyof Named<T>]-?: Untyped<Named<T>[K], [...Depth, 0]> }[keyof Named<T>];

export type Typed<T> = true extends Untyped<T> ? false : true;
