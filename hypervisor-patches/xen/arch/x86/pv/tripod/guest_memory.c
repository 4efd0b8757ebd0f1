/* SPDX-License-Identifier: GPL-2.0-only */
/* What only Xen can know of a guest's vCPU and memory; the harness has its own. */
#include "internal.h"

struct tripod_domain *tripod_of(const struct domain *d)
{
    return d->arch.pv.tripod;
}

uint64_t tripod_kernel_sp(const struct vcpu *v)
{
    return v->arch.pv.kernel_sp;
}

/* While user code runs, the kernel's GS base is the inactive one, which toggle_guest_mode() keeps here. */
uint64_t tripod_kernel_gs(const struct vcpu *v)
{
    return v->arch.pv.gs_base_kernel;
}

/* One level down: the frame that a page table entry names, if this domain owns it. */
static bool walk(const struct domain *d, mfn_t table, unsigned int index, mfn_t *next)
{
    const uint64_t *entries = map_domain_page(table);
    uint64_t entry = ACCESS_ONCE(entries[index]);

    unmap_domain_page(entries);
    if ( (entry & (_PAGE_PRESENT | _PAGE_PSE)) != _PAGE_PRESENT )
        return false;
    *next = _mfn((entry & PADDR_MASK) >> PAGE_SHIFT);
    return mfn_valid(*next) && page_get_owner(mfn_to_page(*next)) == d;
}

/*
 * The table that maps the 2 MiB around `va`. Walks are remembered: a Linux kernel neither frees nor moves the tables of
 * its own half. That a remembered frame still is an L1 table of this domain is checked each time.
 */
static bool find_l1_table(struct vcpu *v, uint64_t va, mfn_t *table)
{
    struct domain *d = v->domain;
    uint64_t region = va >> (PAGE_SHIFT + 9);
    struct tripod_walk *walked = &tripod_of(d)->walks[region % TRIPOD_WALKS];
    const struct page_info *page;
    unsigned int level;

    if ( walked->region == region )
    {
        page = mfn_to_page(_mfn(walked->table));
        if ( page_get_owner(page) == d && (page->u.inuse.type_info & PGT_type_mask) == PGT_l1_page_table )
        {
            *table = _mfn(walked->table);
            return true;
        }
    }
    *table = pagetable_get_mfn(v->arch.guest_table);
    for ( level = 4; level > 1; level-- )
        if ( !walk(d, *table, (va >> (PAGE_SHIFT + 9 * (level - 1))) & 511, table) )
            return false;
    *walked = (struct tripod_walk){ .region = region, .table = mfn_x(*table) };
    return true;
}

/* Where a frame is always mapped; NULL: beyond that. */
static const void *direct_map(mfn_t mfn)
{
    return mfn_x(mfn) <= PFN_DOWN(__pa(HYPERVISOR_VIRT_END - 1)) ? mfn_to_virt(mfn_x(mfn)) : NULL;
}

/* Nearly every read is one field. */
static always_inline void copy_field(void *to, const void *from, uint32_t bytes)
{
    if ( bytes == 8 )
        *(uint64_t *)to = *(const uint64_t *)from;
    else if ( bytes == 4 )
        *(uint32_t *)to = *(const uint32_t *)from;
    else if ( bytes == 2 )
        *(uint16_t *)to = *(const uint16_t *)from;
    else
        memcpy(to, from, bytes);
}

/* By the page tables, and remembered. */
static noinline bool read_by_walk(struct vcpu *v, uint64_t va, void *to, uint32_t bytes)
{
    struct tripod_domain *t = tripod_of(v->domain);
    unsigned int set = tripod_view_set(va);
    struct page_info *page;
    const uint64_t *entries;
    const void *from;
    uint64_t entry;
    mfn_t table, mfn;

    if ( (va >> 47) != 0x1ffff || (va >= HYPERVISOR_VIRT_START && va < HYPERVISOR_VIRT_END) ||
         !find_l1_table(v, va, &table) )
        return false;

    /* The last level has no PSE: that bit is PAT there. */
    entries = map_domain_page(table);
    entry = ACCESS_ONCE(entries[(va >> PAGE_SHIFT) & 511]);
    unmap_domain_page(entries);
    mfn = _mfn((entry & PADDR_MASK) >> PAGE_SHIFT);
    if ( !(entry & _PAGE_PRESENT) || !mfn_valid(mfn) )
        return false;
    page = mfn_to_page(mfn);
    if ( !get_page(page, v->domain) )
        return false;
    from = map_domain_page(mfn);
    copy_field(to, from + (va & ~PAGE_MASK), bytes);
    unmap_domain_page(from);
    put_page(page);

    entries = direct_map(table);
    from = direct_map(mfn);
    if ( entries && from )
        t->views[set][t->next_view[set]++ % TRIPOD_VIEW_WAYS] = (struct tripod_view){
            .page_number = va >> PAGE_SHIFT,
            .entry_at = entries + ((va >> PAGE_SHIFT) & 511),
            .entry = entry,
            .page = page,
            .content = from,
        };
    return true;
}

/*
 * Copies from one page of the guest kernel's address space, by its own page tables. Refused: user addresses, Xen's
 * own slots (which every guest L4 table carries), and frames that are not the guest's.
 *
 * Pages that were found before are read without a walk, as long as the table's entry is the same and the frame is the
 * guest's. No reference is taken: its only vCPU is here, so the guest does not give the frame away meanwhile, and should
 * dom0 take it, or the table have become another page, then what is read is still of some frame in memory, and misleads
 * only the classification of that guest's own descriptors.
 */
bool tripod_read_kernel_page(struct vcpu *v, uint64_t va, void *to, uint32_t bytes)
{
    const struct domain *d = v->domain;
    const struct tripod_view *view = tripod_of(d)->views[tripod_view_set(va)];
    unsigned int i;

    /* Half of the address space is the user's; with it go the page numbers of free views. */
    if ( (int64_t)va >= 0 )
        return false;
    for ( i = 0; i < TRIPOD_VIEW_WAYS; i++, view++ )
        if ( view->page_number == va >> PAGE_SHIFT )
        {
            if ( ACCESS_ONCE(*view->entry_at) != view->entry || page_get_owner(view->page) != d )
                break;
            copy_field(to, view->content + (va & ~PAGE_MASK), bytes);
            return true;
        }
    return read_by_walk(v, va, to, bytes);
}
