/**
 * Names that source code may not use, each with what to use instead.
 *
 * Wall clock, randomness and sleeps come through injected interfaces, so that tests own them; output goes through the
 * logger or the command line. The TypeScript parser finds the names, so that comments and strings do not count.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { filesOnDisk, type Gate } from './gate.ts';

interface Ban {
  readonly name: string;
  readonly instead: string;
  /** Paths where the name is at home. */
  readonly allowed: RegExp;
}

const clock = /^src\/core\/clock\.ts$/;
const clockOrCli = /^src\/(core\/clock\.ts|cli\/)/;

const bans: readonly Ban[] = [
  { name: 'console', instead: 'the logger that is passed in, or the cli', allowed: /^src\/cli\// },
  { name: 'Date.now', instead: 'Clock.nowMs of src/core', allowed: clockOrCli },
  { name: 'new Date()', instead: 'Clock.nowMs of src/core', allowed: clockOrCli },
  { name: 'Math.random', instead: 'Random of src/core', allowed: clock },
  { name: 'setTimeout', instead: 'Clock.sleep of src/core', allowed: clockOrCli },
  { name: 'setInterval', instead: 'a loop over Clock.sleep of src/core', allowed: clockOrCli },
  { name: 'node:timers', instead: 'Clock.sleep of src/core', allowed: clock },
  { name: 'node:timers/promises', instead: 'Clock.sleep of src/core', allowed: clock },
];

const banByName = new Map(bans.map((ban) => [ban.name, ban]));

export const bannedNamesGate: Gate = {
  name: 'banned names',
  run(root) {
    const files = filesOnDisk(root, ['src'], /\.ts$/);
    let names = 0;
    const problems: string[] = files.length === 0 ? ['found no source file to look at'] : [];
    for (const file of files) {
      const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
      const visit = (node: ts.Node) => {
        if (ts.isIdentifier(node)) names += 1;
        const ban = banByName.get(usedName(node));
        if (ban && !ban.allowed.test(file)) {
          const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
          problems.push(`${file}:${line} uses ${ban.name}: use ${ban.instead}`);
        }
        ts.forEachChild(node, visit);
      };
      visit(source);
    }
    if (files.length > 0 && names < files.length)
      problems.push(`the parser saw ${names} names in ${files.length} files`);
    return { looked: `${files.length} files, ${names} names`, problems };
  },
};

/** The name in the form of the list above, or nothing. */
function usedName(node: ts.Node): string {
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
    return `${node.expression.text}.${node.name.text}`;
  }
  if (ts.isNewExpression(node) && !node.arguments?.length && node.expression.getText() === 'Date') return 'new Date()';
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) return node.moduleSpecifier.text;
  if (ts.isIdentifier(node) && isReference(node)) return node.text;
  return '';
}

/** A name that stands for a value of its own: neither `x.name` nor the name of a property, a parameter or an import. */
function isReference(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  if (ts.isImportSpecifier(parent)) return false;
  return !(ts.isPropertySignature(parent) || ts.isMethodSignature(parent) || ts.isParameter(parent));
}
