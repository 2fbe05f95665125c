/* SPDX-License-Identifier: MIT */
/* A quick hash of short names: keys of objects, ids, methods. Two names of one length up to 16 bytes give the same
 * two words only if they are equal; how the words mix is secret if the seed is. Longer names go the slow way. */
#ifndef POSTERN_RPC_HASH_H
#define POSTERN_RPC_HASH_H

#include "hash.h"
#include "slice.h"

static inline uint64_t rpc_hash_short(struct slice s, uint64_t seed)
{
    const char *p = s.data;
    uint64_t a = 0, b = 0;

    if (s.len > 16)
        return hash_slice(s);
    if (s.len >= 8) {
        memcpy(&a, p, 8);
        memcpy(&b, p + s.len - 8, 8);
    } else if (s.len >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + s.len - 4, 4);
        a = low;
        b = high;
    } else if (s.len) {
        a = (uint64_t) (unsigned char) p[0] << 16 | (uint64_t) (unsigned char) p[s.len / 2] << 8 |
            (unsigned char) p[s.len - 1];
    }
    unsigned __int128 product = (unsigned __int128) (a ^ seed ^ UINT64_C(0xa0761d6478bd642f)) *
                                (b ^ s.len ^ (seed >> 32 | seed << 32) ^ UINT64_C(0xe7037ed1a0b428db));
    return (uint64_t) product ^ (uint64_t) (product >> 64);
}

#endif
