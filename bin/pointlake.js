#!/usr/bin/env node
// The command as installed. It is plain old syntax on purpose, so that a Node too old for the rest can still read it
// and say so. It runs the compiled code; in a checkout it runs the sources as they are where nothing is compiled, or
// where a source is newer than what was compiled, so that an old build never answers for new code. A server or
// a rewrite replaces its process once, so that it takes its memory as memory-settings.js says.

import * as settings from './memory-settings.js';

var parts = process.versions.node.split('.');
var major = Number(parts[0]);
var minor = Number(parts[1]);

if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    'pointlake needs Node 22.18 or newer and this is Node ' +
      process.versions.node +
      '; in a checkout, "npm run pointlake -- ..." uses the Node that the project pins.\n',
  );
  process.exitCode = 1;
} else {
  if (takesMuch()) restartWithSettings();
  start();
}

function takesMuch() {
  var command = process.argv[2];
  var isOne = command === 'serve' || command === 'rewrite';
  return process.platform === 'linux' && typeof process.execve === 'function' && isOne;
}

// Goes on where nothing is left to set: in the process that replaced the first, or where an operator has set it all.
// The process keeps its id, its place among its parent's children and its three standard streams.
function restartWithSettings() {
  var env = Object.assign({}, settings.environment, process.env);
  var flags = [process.env.NODE_OPTIONS || ''].concat(process.execArgv).join(' ');
  var isSet = (name) => flags.replaceAll('_', '-').includes(name);
  var added = Object.entries(settings.v8).flatMap(([name, flag]) => (isSet(name) ? [] : [flag]));
  if (added.length === 0 && Object.keys(settings.environment).every((name) => process.env[name] !== undefined)) return;
  process.execve(process.execPath, [process.argv0].concat(added, process.execArgv, process.argv.slice(1)), env);
}

function start() {
  var fs = process.getBuiltinModule('node:fs');
  var compiled = new URL('../dist/cli/main.js', import.meta.url);
  var source = new URL('../src/cli/main.ts', import.meta.url);
  var useCompiled =
    fs.existsSync(compiled) && newest(fs, new URL('../src/', import.meta.url)) <= fs.statSync(compiled).mtimeMs;
  import((useCompiled ? compiled : source).href);
}

// The latest change below a folder in milliseconds, or 0 where there is no such folder (the installed package).
function newest(fs, folder) {
  if (!fs.existsSync(folder)) return 0;
  return fs.readdirSync(folder, { withFileTypes: true }).reduce((latest, entry) => {
    var path = new URL(entry.name + (entry.isDirectory() ? '/' : ''), folder);
    return Math.max(latest, entry.isDirectory() ? newest(fs, path) : fs.statSync(path).mtimeMs);
  }, 0);
}
