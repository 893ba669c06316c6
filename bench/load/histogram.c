// Latencies in buckets that grow with what they hold.
#include "load.h"

static uint32_t bucket_of(uint64_t us) {
  uint64_t small = 1ULL << BUCKET_BITS;
  if (us < small)
    return (uint32_t)us;
  int shift = 63 - __builtin_clzll(us) - BUCKET_BITS;
  uint64_t bucket = ((uint64_t)(shift + 1) << BUCKET_BITS) + ((us >> shift) - small);
  return bucket < BUCKETS ? (uint32_t)bucket : BUCKETS - 1;
}

static uint64_t top_of(uint32_t bucket) {
  uint32_t small = 1U << BUCKET_BITS;
  if (bucket < small)
    return bucket;
  int shift = (int)(bucket >> BUCKET_BITS) - 1;
  return ((uint64_t)(bucket % small + small + 1) << shift) - 1;
}

void note(struct histogram *h, uint64_t us) {
  h->count[bucket_of(us)]++;
  h->total++;
  if (us > h->largest_us)
    h->largest_us = us;
}

uint64_t percentile(const struct histogram *h, double share) {
  uint64_t wanted = (uint64_t)((double)h->total * share), seen = 0;
  for (uint32_t b = 0; b < BUCKETS; b++) {
    seen += h->count[b];
    if (seen > wanted)
      return top_of(b) < h->largest_us ? top_of(b) : h->largest_us;
  }
  return h->largest_us;
}
