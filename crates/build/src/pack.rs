//! Packing: which wheels share a layer, and in which order the layers lie.
//!
//! A wheel of 1 MiB or more is its own layer; smaller ones share one. When there would be more layers than the budget
//! allows, the largest keep their own and the rest joins the small ones. «Largest» is decided by size class (the power of two
//! below) and then by name, so that a new version of a package, which has nearly the same size, changes nobody's place.
//!
//! What follows, and is tested: adding or bumping a package makes at most two new layers, its own and the shared one. (With
//! a full budget, a package that shrinks below another's class gives up its place: then the other's own layer is new, and
//! the shared one.)
//!
//! Two wheels that write different content to the same path are a conflict: the one that is installed later wins, so it must
//! lie above. Each wheel in a conflict is its own layer, however small, and these layers keep the order of installation.

use std::cmp::Reverse;

/// Wheels smaller than this share a layer.
const SMALL: u64 = 1 << 20;

/// What packing has to know about a wheel. The order of a slice of these is the order of installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// The normalised name of the package.
    pub(crate) name: String,
    /// The size of the wheel in bytes.
    pub(crate) size: u64,
    /// Whether it writes a path that another wheel writes with other content.
    pub(crate) conflicts: bool,
}

/// Groups parcels (by index) into layers, the lowest first. Inside a layer the order is that of installation.
pub(crate) fn pack(parcels: &[Parcel], budget: usize) -> Vec<Vec<usize>> {
    let class = |index: usize| parcels[index].size.max(1).ilog2();
    let (conflicting, free): (Vec<usize>, Vec<usize>) =
        (0..parcels.len()).partition(|&index| parcels[index].conflicts);
    let (mut own, mut shared): (Vec<usize>, Vec<usize>) =
        free.into_iter().partition(|&index| parcels[index].size >= SMALL);
    own.sort_by_key(|&index| (Reverse(class(index)), &parcels[index].name));
    // One place is the shared layer's, whether there is one now or not: a first small package must move nobody.
    let places = budget.saturating_sub(1 + conflicting.len());
    shared.extend(own.split_off(own.len().min(places)));
    shared.sort_unstable();
    let single = |index: usize| vec![index];
    let mut layers: Vec<Vec<usize>> = own.into_iter().map(single).collect();
    layers.extend((!shared.is_empty()).then_some(shared));
    layers.extend(conflicting.into_iter().map(single));
    layers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn parcel(name: &str, size: u64) -> Parcel {
        Parcel { name: name.to_owned(), size, conflicts: false }
    }

    /// The layers by what they hold: what a registry would have to take anew if it is not there yet.
    fn contents(parcels: &[Parcel], budget: usize) -> BTreeSet<Vec<(String, u64)>> {
        let name = |&index: &usize| (parcels[index].name.clone(), parcels[index].size);
        pack(parcels, budget).iter().map(|layer| layer.iter().map(name).collect()).collect()
    }

    #[test]
    fn large_first_small_together() {
        let parcels = [parcel("a", 10), parcel("b", 5 << 20), parcel("c", 20), parcel("d", 80 << 20)];
        assert_eq!(pack(&parcels, 48), [vec![3], vec![1], vec![0, 2]]);
        assert_eq!(pack(&parcels, 2), [vec![3], vec![0, 1, 2]]);
        assert_eq!(pack(&[], 48), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn conflicts_keep_the_order_of_installation() {
        let mut parcels = [parcel("z", 9 << 20), parcel("b", 10), parcel("a", 5 << 20), parcel("c", 10)];
        (parcels[0].conflicts, parcels[1].conflicts) = (true, true);
        assert_eq!(pack(&parcels, 48), [vec![2], vec![3], vec![0], vec![1]]);
    }

    fn sets() -> impl Strategy<Value = Vec<Parcel>> {
        let size = prop_oneof![1u64..SMALL, SMALL..(1 << 32)];
        prop::collection::btree_map("[a-e]{1,3}", size, 0..60)
            .prop_map(|set| set.into_iter().map(|(name, size)| parcel(&name, size)).collect())
    }

    proptest! {
        #[test]
        fn every_wheel_is_packed_once_within_the_budget(parcels in sets(), budget in 1usize..50) {
            let layers = pack(&parcels, budget);
            prop_assert!(layers.len() <= budget);
            let mut all: Vec<usize> = layers.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..parcels.len()).collect::<Vec<_>>());
        }

        #[test]
        fn adding_a_package_makes_at_most_its_own_layer_and_the_shared_one(
            parcels in sets(), size in 1u64..(1 << 32), at in any::<prop::sample::Index>(), budget in 1usize..50,
        ) {
            let before = contents(&parcels, budget);
            let mut more = parcels.clone();
            more.insert(at.index(parcels.len() + 1), parcel("new", size));
            let fresh: Vec<_> = contents(&more, budget).into_iter().filter(|layer| !before.contains(layer)).collect();
            prop_assert!(fresh.len() <= 2);
            if size < SMALL {
                prop_assert!(fresh.len() <= 1);
            }
        }

        #[test]
        fn bumping_a_package_moves_only_its_layer(
            parcels in sets(), at in any::<prop::sample::Index>(), grow in 0u64..1000, budget in 1usize..50,
        ) {
            prop_assume!(!parcels.is_empty());
            let before = contents(&parcels, budget);
            let mut bumped = parcels.clone();
            let index = at.index(parcels.len());
            // A new version in the same size class.
            let size = parcels[index].size;
            bumped[index].size = (size + grow).min((2 << size.ilog2()) - 1);
            prop_assume!((bumped[index].size >= SMALL) == (size >= SMALL));
            let fresh = contents(&bumped, budget).into_iter().filter(|layer| !before.contains(layer)).count();
            prop_assert!(fresh <= 1);
        }
    }
}
