// How the server's process is to take memory and cores from the system; the allocator and V8 read this only when a process begins.
//
// glibc raises the size from which it maps an allocation by itself whenever a mapped one is freed, up to 32 MiB; from
// then on pages on their way and slabs that stay lie side by side in heaps that only shrink at their end, of which it
// makes eight a core. A fixed size keeps them apart, and few heaps keep small. V8's young generation holds what a request
// needs for a moment; with 4 MiB for it, its collections made the p99 of hot lookups several times longer. Its old one is left alone
// until it has 64 MiB, else a server that has just started collects all of it again and again while it reads its first files; from
// then on until it has grown by half, where V8 by itself would often begin after a tenth more.
//
// Large allocations ask for huge pages, where the system gives them to who asks: rows and blocks lie all over the memory,
// and with small pages each costs the processor a walk through its page table.
//
// V8 has four threads that collect garbage and compile beside the loop that answers. With fewer cores than that they take
// the loop's, each as much as it has itself: 90 ms at a time for a collection, and a loop that has just started gets a fifth.
//
// Other allocators pass over the variables. What an operator has set counts; docs/adr/0023 has the measurements.

// A Node that is too old to run the rest, and only says so, may lack either.
var os = 'getBuiltinModule' in process ? process.getBuiltinModule('node:os') : {};
var cores = 'availableParallelism' in os ? os.availableParallelism() : 1;

export var environment = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '1048576',
  GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1',
};

// Each V8 option by the part of its name that says that somebody has set it, either way.
export var v8 = {
  'max-semi-space-size': '--max-semi-space-size=16',
  'initial-old-space-size': '--initial-old-space-size=64',
  'heap-growing-percent': '--heap-growing-percent=50',
  'allocation-site-pretenuring': '--no-allocation-site-pretenuring',
  'v8-pool-size': `--v8-pool-size=${Math.max(1, Math.min(4, cores))}`,
};
