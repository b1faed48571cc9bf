/**
 * Random nested columns: a schema in any of the forms that writers have used, and records that fit it, each as the raw
 * record that a writer shreds and as the JSON value that it means by LogicalTypes.md.
 */

import { type Field, type LeafType, LIST, MAP, MAP_KEY_VALUE, type Raw, UTF8 } from './nested-files.ts';

export interface Sample {
  readonly field: Field;
  /** One value of the field, its repetition included. */
  readonly make: () => Made;
}

export interface Made {
  readonly raw: Raw;
  readonly json: unknown;
}

type Random = () => number;

/** A column called `name` with at most `depth` levels of groups below it. */
export function nestedSample(random: Random, name: string, depth: number): Sample {
  const form = pick(random, GROUP_FORMS);
  return form(random, name, depth);
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)]!;
}

function count(random: Random): number {
  return pick(random, [0, 1, 1, 2, 3, 7]);
}

function times<T>(n: number, make: () => T): T[] {
  return Array.from({ length: n }, make);
}

/** Anything but a repeated field. */
function anything(random: Random, name: string, depth: number): Sample {
  return depth <= 0 || random() < 0.45 ? leaf(random, name) : nestedSample(random, name, depth - 1);
}

/** A field of a struct: now and then a repeated one that no annotation explains. */
function member(random: Random, name: string, depth: number): Sample {
  return random() < 0.15 ? repeatedField(random, name, depth) : anything(random, name, depth);
}

const TEXTS = ['', 'a', 'key', 'é', '"quoted"', 'a longer text that is no key', '\u0000'];

const LEAVES: readonly ((random: Random) => {
  readonly type: LeafType;
  readonly converted?: number;
  make: () => Made;
})[] = [
  (random) => ({ type: 'INT32', make: () => same(Math.floor(random() * 9) - 4) }),
  (random) => ({
    type: 'INT64',
    make: () => {
      const value = BigInt.asIntN(64, BigInt(Math.floor(random() * 2 ** 40)) * BigInt(pick(random, [1, -1, 2 ** 30])));
      return { raw: value, json: String(value) };
    },
  }),
  (random) => ({ type: 'DOUBLE', make: () => same(pick(random, [0.5, -1.25, 1e100, random()])) }),
  (random) => ({ type: 'BOOLEAN', make: () => same(random() < 0.5) }),
  (random) => ({
    type: 'BYTE_ARRAY',
    converted: UTF8,
    make: () => {
      const text = pick(random, TEXTS);
      return { raw: Buffer.from(text), json: text };
    },
  }),
  (random) => ({
    type: 'BYTE_ARRAY',
    make: () => {
      const raw = Buffer.from(times(Math.floor(random() * 5), () => Math.floor(random() * 256)));
      return { raw, json: raw.toString('base64') };
    },
  }),
];

function same(value: number | boolean): Made {
  return { raw: value, json: value };
}

function leaf(random: Random, name: string, repetition?: Field['repetition'], kinds = LEAVES): Sample {
  const { make, ...type } = pick(random, kinds)(random);
  return maybe(random, { name, repetition: repetition ?? pick(random, ['required', 'optional']), ...type }, make);
}

/** Adds the null of an optional field; `make` gives the content. */
function maybe(random: Random, field: Field, make: () => Made): Sample {
  if (field.repetition !== 'optional') return { field, make };
  return { field, make: () => (random() < 0.25 ? { raw: null, json: null } : make()) };
}

function group(
  random: Random,
  name: string,
  children: readonly Field[],
  make: () => Made,
  options: Partial<Field> = {},
): Sample {
  const repetition = options.repetition ?? pick(random, ['required', 'optional'] as const);
  return maybe(random, { name, children, ...options, repetition }, make);
}

function struct(random: Random, name: string, depth: number, options: Partial<Field> = {}, least = 1): Sample {
  const members = times(least + Math.floor(random() * 3), () => 0).map((_, i) => member(random, `${name}_${i}`, depth));
  const make = (): Made => {
    const made = members.map((sample) => sample.make());
    return {
      raw: made.map(({ raw }) => raw),
      json: Object.fromEntries(made.map(({ json }, i) => [members[i]!.field.name, json])),
    };
  };
  return group(
    random,
    name,
    members.map(({ field }) => field),
    make,
    options,
  );
}

/** `items` of `element` inside `wrappers` groups of one field each. */
function items(random: Random, element: Sample, wrap: (raw: Raw) => Raw): () => Made {
  return () => {
    const made = times(count(random), element.make);
    return { raw: [made.map(({ raw }) => wrap(raw))], json: made.map(({ json }) => json) };
  };
}

/** group (LIST) { repeated group list { element } }, under any of the names that are no sign of an older form. */
function threeLevelList(random: Random, name: string, depth: number): Sample {
  const element = anything(random, pick(random, ['element', 'item', 'array_element', 'array']), depth);
  const repeated: Field = {
    name: pick(random, ['list', 'bag', 'element', 'arrays', `${name}_tuples`]),
    repetition: 'repeated',
    children: [element.field],
  };
  return group(
    random,
    name,
    [repeated],
    items(random, element, (raw) => [raw]),
    { converted: LIST },
  );
}

/** group (LIST) { repeated int32 anything } */
function twoLevelLeaves(random: Random, name: string): Sample {
  const element = leaf(random, pick(random, ['array', 'element', 'list']), 'repeated');
  return group(
    random,
    name,
    [element.field],
    items(random, element, (raw) => raw),
    { converted: LIST },
  );
}

/** group (LIST) { repeated group anything { a, b } } */
function twoLevelStructs(random: Random, name: string, depth: number): Sample {
  const element = struct(random, pick(random, ['list', 'element', 'array']), depth, { repetition: 'repeated' }, 2);
  return group(
    random,
    name,
    [element.field],
    items(random, element, (raw) => raw),
    { converted: LIST },
  );
}

/** group my_list (LIST) { repeated group array | my_list_tuple { a } }: the group is the element all the same. */
function namedTwoLevelStructs(random: Random, name: string, depth: number): Sample {
  const only = anything(random, 'only', depth);
  const repeated: Field = {
    name: pick(random, ['array', `${name}_tuple`]),
    repetition: 'repeated',
    children: [only.field],
  };
  const element: Sample = {
    field: repeated,
    make: () => {
      const { raw, json } = only.make();
      return { raw: [raw], json: { only: json } };
    },
  };
  return group(
    random,
    name,
    [repeated],
    items(random, element, (raw) => raw),
    { converted: LIST },
  );
}

/** group (LIST) { repeated group array (LIST) { repeated .. } }, and the same around a map: elements of older writers. */
function twoLevelNested(random: Random, name: string, depth: number): Sample {
  const inner = pick(random, [twoLevelLeaves, twoLevelStructs, map])(random, pick(random, ['array', 'x']), depth);
  const element = asRepeated(inner);
  return group(
    random,
    name,
    [element.field],
    items(random, element, (raw) => raw),
    { converted: LIST },
  );
}

/** group (LIST) { repeated group list { repeated .. } }: one repeated field makes the group the element. */
function twoLevelOfRepeated(random: Random, name: string, depth: number): Sample {
  const only = repeatedField(random, 'only', depth);
  const repeated: Field = { name: 'list', repetition: 'repeated', children: [only.field] };
  const element: Sample = {
    field: repeated,
    make: () => {
      const { raw, json } = only.make();
      return { raw: [raw], json: { only: json } };
    },
  };
  return group(
    random,
    name,
    [repeated],
    items(random, element, (raw) => raw),
    { converted: LIST },
  );
}

/** The same field as a repeated one, never null; its `make` gives one item. */
function asRepeated(sample: Sample): Sample {
  const make = () => {
    for (;;) {
      const made = sample.make();
      if (made.raw !== null) return made;
    }
  };
  return { field: { ...sample.field, repetition: 'repeated' }, make };
}

/** A repeated field that no annotation explains: a required list of required elements. */
function repeatedField(random: Random, name: string, depth: number): Sample {
  const item = asRepeated(random() < 0.5 || depth <= 0 ? leaf(random, name) : struct(random, name, depth - 1));
  return {
    field: item.field,
    make: () => {
      const made = times(count(random), item.make);
      return { raw: made.map(({ raw }) => raw), json: made.map(({ json }) => json) };
    },
  };
}

const STRINGS = [LEAVES[4]!];
const INTEGERS = [LEAVES[0]!];

function map(random: Random, name: string, depth: number): Sample {
  const isObject = random() < 0.6;
  const names = pick(random, [
    ['key', 'value'],
    ['k', 'v'],
    ['value', 'key'],
  ] as const);
  const key = leaf(random, names[0], 'required', isObject ? STRINGS : INTEGERS);
  const value = anything(random, names[1], depth);
  const entry: Field = {
    name: pick(random, ['key_value', 'map', 'entries']),
    repetition: 'repeated',
    children: [key.field, value.field],
    ...(random() < 0.5 ? { converted: MAP_KEY_VALUE } : {}),
  };
  const make = (): Made => {
    const entries = times(count(random), () => [key.make(), value.make()] as const);
    const last = new Map(entries.map(([k, v]) => [k.json, v.json]));
    return {
      raw: [entries.map(([k, v]) => [k.raw, v.raw])],
      json: isObject ? Object.fromEntries(last) : [...last].map(([k, v]) => ({ key: k, value: v })),
    };
  };
  return group(random, name, [entry], make, { converted: pick(random, [MAP, MAP, MAP_KEY_VALUE]) });
}

function mapWithoutValues(random: Random, name: string): Sample {
  const key = leaf(random, 'key', 'required');
  const entry: Field = { name: 'key_value', repetition: 'repeated', children: [key.field] };
  return group(
    random,
    name,
    [entry],
    items(random, key, (raw) => [raw]),
    { converted: MAP },
  );
}

const GROUP_FORMS = [
  struct,
  struct,
  threeLevelList,
  threeLevelList,
  twoLevelLeaves,
  twoLevelStructs,
  namedTwoLevelStructs,
  twoLevelNested,
  twoLevelOfRepeated,
  map,
  map,
  mapWithoutValues,
] as const satisfies readonly ((random: Random, name: string, depth: number) => Sample)[];
