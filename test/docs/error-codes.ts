/**
 * Every error code that the sources can give, found by the TypeScript parser.
 *
 * A code is the second argument of `new ServiceError`, or the `code` of an object literal. Where that argument is a
 * parameter, the calls of its function are looked through; where it is taken out of options, its default is a code and the
 * options are an object literal somewhere; where it is another error's code, it is found at that error.
 * Anything else is an `unseen` place, since a code that is not seen here could go undocumented.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

export interface FoundCodes {
  readonly codes: ReadonlySet<string>;
  readonly unseen: readonly string[];
  readonly files: number;
}

export function errorCodesOf(folder: string): FoundCodes {
  const codes = new Set<string>();
  const unseen: string[] = [];
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  for (const file of files) {
    const text = readFileSync(join(folder, file), 'utf8');
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node) => {
      for (const code of codesAt(node, source, unseen)) codes.add(code);
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return { codes, unseen, files: files.length };
}

function codesAt(node: ts.Node, source: ts.SourceFile, unseen: string[]): readonly string[] {
  if (ts.isPropertyAssignment(node) && node.name.getText() === 'code' && ts.isStringLiteral(node.initializer)) {
    return isOfConfiguration(node) ? [] : [node.initializer.text];
  }
  const code = codeArgument(node);
  if (code === undefined) return [];
  if (ts.isStringLiteral(code)) return [code.text];
  if (ts.isPropertyAccessExpression(code) && code.name.text === 'code') return [];
  if (ts.isConditionalExpression(code)) return [code.whenTrue, code.whenFalse].flatMap(literalOf);
  if (ts.isIdentifier(code) && isTakenFromError(code, source)) return [];
  const literals = ts.isIdentifier(code) ? [...literalsOfParameter(code, source), ...defaultsOf(code, source)] : [];
  if (literals.length === 0 && !isErrorItself(source)) {
    const { line } = source.getLineAndCharacterOfPosition(code.getStart());
    unseen.push(`${source.fileName}:${line + 1} ${code.getText()}`);
  }
  return literals;
}

function codeArgument(node: ts.Node): ts.Expression | undefined {
  const isNew = ts.isNewExpression(node) && node.expression.getText() === 'ServiceError';
  const isSuper = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.SuperKeyword;
  if (isNew) return node.arguments?.[1];
  return isSuper && isInError(node) && node.arguments.length >= 3 ? node.arguments[1] : undefined;
}

/** Within a class that extends one whose name ends with `Error`. */
function isInError(node: ts.Node): boolean {
  for (let outer = node.parent; outer !== undefined; outer = outer.parent) {
    if (ts.isClassLike(outer))
      return (
        outer.heritageClauses?.some((clause) =>
          clause.types.some((type) => /Error$/.test(type.expression.getText())),
        ) === true
      );
  }
  return false;
}

function literalOf(expression: ts.Expression): readonly string[] {
  return ts.isStringLiteral(expression) ? [expression.text] : [];
}

/** `const { code, message } = thrown` in the function around. */
function isTakenFromError(name: ts.Identifier, source: ts.SourceFile): boolean {
  let found = false;
  const visit = (node: ts.Node) => {
    if (ts.isObjectBindingPattern(node)) {
      const names = node.elements.map((element) => element.name.getText());
      const plain = node.elements.every((element) => element.initializer === undefined);
      found ||= plain && names.includes(name.text) && names.includes('message');
    }
    ts.forEachChild(node, visit);
  };
  visit(functionAround(name) ?? source);
  return found;
}

function functionAround(node: ts.Node): ts.SignatureDeclaration | undefined {
  let around: ts.Node | undefined = node;
  while (around !== undefined && !ts.isFunctionLike(around)) around = around.parent;
  return around;
}

/** What the validator of configurations calls a code is its own. */
function isOfConfiguration(node: ts.PropertyAssignment): boolean {
  const call = node.parent.parent;
  return ts.isCallExpression(call) && call.expression.getText().endsWith('.addIssue');
}

/** The class that carries codes makes none. */
function isErrorItself(source: ts.SourceFile): boolean {
  return source.fileName === join('core', 'errors.ts');
}

/** The literals that this file passes for a parameter of the function around `name`. */
function literalsOfParameter(name: ts.Identifier, source: ts.SourceFile): readonly string[] {
  const around = functionAround(name);
  if (around === undefined) return [];
  const position = around.parameters.findIndex((parameter) => parameter.name.getText() === name.text);
  const declared = ts.isFunctionDeclaration(around)
    ? around.name
    : (around.parent as Partial<ts.NamedDeclaration>).name;
  const literals: string[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isCallExpression(node) && node.expression.getText() === declared?.getText()) {
      const argument = node.arguments[position];
      if (argument !== undefined && ts.isStringLiteral(argument)) literals.push(argument.text);
    }
    ts.forEachChild(node, visit);
  };
  if (position >= 0 && declared !== undefined) visit(source);
  return literals;
}

/** `const { code = 'a_code' } = options` anywhere in this file. */
function defaultsOf(name: ts.Identifier, source: ts.SourceFile): readonly string[] {
  const defaults: string[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isBindingElement(node) && node.name.getText() === name.text && node.initializer !== undefined) {
      if (ts.isStringLiteral(node.initializer)) defaults.push(node.initializer.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return defaults;
}
