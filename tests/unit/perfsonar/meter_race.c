/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF side of the meter's table, compiled for this machine, on one CPU that plays two: at a chosen moment of the first
 * one's work the second one runs, unless the first one holds a lock; then it runs as soon as that is given back.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdint.h>
#include <string.h>

#include "bpf/meter_types.h"

static void* find(const void* map, const void* key);
static int pop(void* value);
static uint64_t swap(uint64_t* word, uint64_t before, uint64_t after);
static void take_lock(void);
static void give_lock(void);

#define bpf_map_lookup_elem(map, key) find(map, key)
#define bpf_map_pop_elem(map, value) pop(value)
#define bpf_map_push_elem(map, value, flags) 0
#define bpf_ringbuf_output(map, data, size, flags) 0
#define bpf_ktime_get_ns() 1
#define bpf_spin_lock(lock) take_lock()
#define bpf_spin_unlock(lock) give_lock()
#define __sync_val_compare_and_swap(word, before, after) swap((uint64_t*)(word), before, after)

#include "bpf/lib/meter_table.h"

static struct meter_bucket bucket;
static struct meter_flow flows[8];
static struct meter_state state = {.max_flows = 8};
static uint32_t next_number;
static int is_locked, is_waiting, has_run;
static uint32_t number_of_second;

static void* find(const void* map, const void* key) {
    const uint32_t index = *(const uint32_t*)key;
    if (map == &meter_buckets) return index == 0 ? &bucket : 0;
    if (map == &meter_flows) return index < 8 ? &flows[index] : 0;
    if (map == &meter_state) return &state;
    return &is_locked; /* a lock */
}

static int pop(void* value) {
    const uint32_t number = ++next_number;
    memcpy(value, &number, sizeof number);
    return 0;
}

static uint32_t enter(void) {
    const struct meter_opening opening = {.key = {.protocol = 6}, .tag = 0x1000};
    uint32_t slot = 0, entered = 0;
    return meter_enter(&opening, (uint64_t)0x1000 << 32, METER_OUT, &slot, &entered);
}

/* A slot in front becomes free, then the second CPU has a packet of the same flow, which it has not found either. */
static void run_second(void) {
    is_waiting = 0;
    bucket.slots[0] = 0;
    number_of_second = enter();
}

static uint64_t swap(uint64_t* word, uint64_t before, uint64_t after) {
    if (!has_run) {
        has_run = 1;
        if (is_locked)
            is_waiting = 1;
        else
            run_second();
    }
    if (*word != before) return *word;
    *word = after;
    return before;
}

static void take_lock(void) {
    is_locked = 1;
}

static void give_lock(void) {
    is_locked = 0;
    if (is_waiting) run_second();
}

/* How many slots the flow has in the end. */
int meter_race_slots(int* same_number) {
    const uint64_t other = meter_slot_word(0, 0x2000 | METER_TAG_READY);
    for (int i = 0; i < 7; ++i) bucket.slots[i] = other;
    const uint32_t number_of_first = enter();
    int slots = 0;
    for (int i = 0; i < 8; ++i) slots += (bucket.slots[i] & METER_TAG_HASH) == 0x1000;
    *same_number = number_of_first == number_of_second;
    return slots;
}
